"""An inference server as there are many: FastAPI, scikit-learn, KServe's V1 protocol.

The line that begins with `application.add_middleware` is all that Driftwarden asks of it.
"""

import os
from dataclasses import asdict
from typing import Any

from data import LEARNT, measurements
from fastapi import FastAPI
from pydantic import BaseModel
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from driftwarden_client import Client, CopyInferences

PREDICT = "/v1/models/tumours:predict"

rows, labels = measurements()
model = make_pipeline(StandardScaler(), LogisticRegression()).fit(rows[:LEARNT], labels[:LEARNT])
client = Client(os.environ.get("SIDECAR_URL", "http://127.0.0.1:8090"), "tumours")
application = FastAPI()
application.add_middleware(CopyInferences, client=client, paths=[PREDICT])


class Instances(BaseModel):
    """Rows of measurements."""

    instances: list[list[float]]


@application.post(PREDICT)
def predict(asked: Instances) -> dict[str, list[float]]:
    """How likely each is benign."""
    return {"predictions": model.predict_proba(asked.instances)[:, 1].tolist()}


@application.get("/copies")
def copies() -> dict[str, Any]:
    """What became of the copies of this process's inferences."""
    return asdict(client.counters)
