"""A template that cannot work is refused when it is loaded, with the place that is wrong."""

from pathlib import Path

import pytest

from service.adapters.trigger.template import MAXIMUM_BYTES, SHIPPED_TEMPLATE, parse_template, read_template
from service.domain.errors import InvalidConfiguration

DEPLOYED = Path(__file__).resolve().parents[5] / "deploy" / "retraining" / "job.yaml"
HEAD = "apiVersion: batch/v1\nkind: Job\n"


def test_the_shipped_template_is_the_deployed_one_and_valid() -> None:
    template = read_template(SHIPPED_TEMPLATE, "training")
    assert SHIPPED_TEMPLATE.resolve() == DEPLOYED
    assert (template.api_version, template.kind, template.namespace) == ("batch/v1", "Job", "training")


@pytest.mark.parametrize(
    ("api_version", "kind"), [("argoproj.io/v1alpha1", "Workflow"), ("tekton.dev/v1", "PipelineRun"), ("v1", "Pod")]
)
def test_any_kind_of_object_may_be_a_template(api_version: str, kind: str) -> None:
    template = parse_template(f"apiVersion: {api_version}\nkind: {kind}\nmetadata: {{}}\nspec: {{}}\n", "training")
    assert (template.api_version, template.kind) == (api_version, kind)


def test_the_configured_namespace_may_be_repeated() -> None:
    assert parse_template(f"{HEAD}metadata: {{namespace: training}}", "training").namespace == "training"


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("kind: Job\nmetadata: {}", "apiVersion: is missing"),
        ("apiVersion: ../v1\nkind: Job\nmetadata: {}", "apiVersion: is missing or not a valid"),
        ("apiVersion: v1\nmetadata: {}", "kind: is missing"),
        ("apiVersion: v1\nkind: a/b\nmetadata: {}", "kind: is missing or not a valid"),
        (HEAD, "metadata: must be a mapping"),
        (f"{HEAD}metadata: {{generateName: train-}}", "metadata.generateName: remove it"),
        (f"{HEAD}metadata: {{name: train}}", "metadata.name: remove it"),
        (f"{HEAD}metadata: {{namespace: other}}", "metadata.namespace: remove it; .* 'training'"),
        (f"{HEAD}metadata: {{labels: {{team: 7}}}}", "metadata.labels: must be a mapping of strings"),
        (f"{HEAD}metadata: {{annotations: [a]}}", "metadata.annotations: must be a mapping of strings"),
        (f"{HEAD}metadata: {{labels: {{driftwarden.dev/model: x}}}}", r"metadata.labels\[driftwarden.dev/model\]"),
        (
            f"{HEAD}metadata: {{labels: {{app.kubernetes.io/managed-by: helm}}}}",
            r"metadata.labels\[app.kubernetes.io/m",
        ),
        (f"{HEAD}metadata: {{}}\nspec: {{until: 2026-01-01}}", "spec.until: date is not a JSON value"),
        (f"{HEAD}metadata: {{}}\nspec: {{share: [1, .nan]}}", r"spec.share\[1\]: float is not a JSON value"),
        (f"{HEAD}metadata: {{}}\nspec: {{8080: http}}", "spec: the key 8080 must be a string"),
        (f"{HEAD}metadata: &m {{}}\nspec: *m", r"YAML aliases \(\*name\) are not supported"),
        (f"{HEAD}metadata: {{}}\n---\nkind: Job", "is not one YAML document"),
        (f"{HEAD}metadata: {{", "is not one YAML document"),
        (f"{HEAD}metadata: !!python/object/apply:os.getcwd []", "is not one YAML document"),
        ("- a list", "must be one Kubernetes object"),
        ("", "must be one Kubernetes object"),
        ("[" * 1500, "is not one YAML document"),
        ("#" * (MAXIMUM_BYTES + 1), "is larger than"),
    ],
)
def test_a_fault_is_named_with_its_place(text: str, place: str) -> None:
    with pytest.raises(InvalidConfiguration, match=place) as refused:
        parse_template(text, "training", source="template.yaml")
    assert str(refused.value).startswith("template.yaml: ")


@pytest.mark.parametrize(
    ("environment", "place"),
    [
        ("{A: b}", "must be a list"),
        ("[A]", r"env\[0\]: must be a mapping with a name"),
        ("[{name: A}, {name: DRIFTWARDEN_MODEL}]", r"env\[1\]: DRIFTWARDEN_MODEL is set by Driftwarden"),
        ("[{name: TRACEPARENT, value: x}]", r"env\[0\]: TRACEPARENT is set by Driftwarden"),
    ],
)
@pytest.mark.parametrize("group", ["containers", "initContainers"])
def test_an_environment_that_cannot_be_added_to_is_a_fault(group: str, environment: str, place: str) -> None:
    spec = f"{{template: {{spec: {{{group}: [{{env: {environment}}}]}}}}}}"
    with pytest.raises(InvalidConfiguration, match=rf"spec\.template\.spec\.{group}\[0\]\.{place}|{place}"):
        parse_template(f"{HEAD}metadata: {{}}\nspec: {spec}", "training")


@pytest.mark.parametrize(
    ("head", "spec", "place"),
    [
        ("batch/v1, kind: Job", "[a]", "spec: must be a mapping"),
        ("argoproj.io/v1alpha1, kind: Workflow", "{arguments: a}", "spec.arguments: must be a mapping"),
        (
            "argoproj.io/v1alpha1, kind: Workflow",
            "{arguments: {parameters: {}}}",
            "spec.arguments.parameters: must be a l",
        ),
        (
            "tekton.dev/v1, kind: PipelineRun",
            "{params: [{value: a}]}",
            r"spec.params\[0\]: must be a mapping with a name",
        ),
        (
            "tekton.dev/v1, kind: PipelineRun",
            "{params: [{name: a, value: b}, {name: driftwarden-model, value: c}]}",
            r"spec.params\[1\]: driftwarden-model is set by Driftwarden",
        ),
    ],
)
def test_parameters_that_cannot_be_added_to_are_a_fault(head: str, spec: str, place: str) -> None:
    with pytest.raises(InvalidConfiguration, match=place):
        parse_template(f"{{apiVersion: {head}, metadata: {{}}, spec: {spec}}}", "training")


@pytest.mark.parametrize("namespace", ["", "Training", "a/b", "-a", "a" * 64])
def test_a_namespace_is_a_kubernetes_name(namespace: str) -> None:
    with pytest.raises(InvalidConfiguration, match="is not a Kubernetes namespace name"):
        parse_template(f"{HEAD}metadata: {{}}", namespace)


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    binary = tmp_path / "binary.yaml"
    binary.write_bytes(b"\xff\xfe")
    for path in (tmp_path / "missing.yaml", tmp_path, binary):
        with pytest.raises(InvalidConfiguration, match=str(path)):
            read_template(path, "training")


def test_a_file_that_is_too_large_is_not_read_to_its_end() -> None:
    with pytest.raises(InvalidConfiguration, match="is larger than"):
        read_template(Path("/dev/zero"), "training")
