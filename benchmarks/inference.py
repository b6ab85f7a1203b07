"""An application that benchmarks/client.py measures: FastAPI, scikit-learn, KServe's V1 protocol.

`python -m benchmarks.inference PORT [SIDECAR_URL]`: with the middleware if it is told where a sidecar is.
"""

import sys
from dataclasses import asdict
from typing import Any

import numpy as np
import uvicorn
from fastapi import FastAPI
from pydantic import BaseModel
from sklearn.linear_model import LogisticRegression

from driftwarden_client import Client, CopyInferences

FEATURES, MODEL = 20, "fraud"


class Instances(BaseModel):
    """Rows."""

    instances: list[list[float]]


def application(sidecar: str | None) -> FastAPI:
    learnt = np.random.default_rng(1).normal(size=(1000, FEATURES))
    model = LogisticRegression().fit(learnt, learnt[:, 0] > 0)
    made, client = FastAPI(), None
    if sidecar is not None:
        client = Client(sidecar, MODEL)
        made.add_middleware(CopyInferences, client=client, paths=["/predict"])

    @made.post("/predict")
    def predict(asked: Instances) -> dict[str, list[float]]:
        return {"predictions": model.predict_proba(asked.instances)[:, 1].tolist()}

    @made.get("/copies")
    async def copies() -> dict[str, Any]:
        return {} if client is None else asdict(client.counters)

    return made


if __name__ == "__main__":
    where = sys.argv[2] if len(sys.argv) > 2 else None
    uvicorn.run(application(where), host="127.0.0.1", port=int(sys.argv[1]), log_level="warning")
