"""What of an artifact is refused, and which file is known by what another one says of it."""

import pytest

from service.domain.errors import ContentRefused
from service.domain.integrity.contents.content import Content, Look, code, data, may, unknown
from service.domain.integrity.inventory import DATA_ONLY, ContentPolicy, inventory, refuse, refused

FOUND = inventory({"a.onnx": data("ONNX"), "b.bin": unknown("not known"), "c.h5": may("HDF5"), "d.pkl": code("pickle")})


def test_the_worst_comes_first_and_is_counted() -> None:
    assert [file.name for file in FOUND.files] == ["d.pkl", "c.h5", "b.bin", "a.onnx"]
    assert list(FOUND.counts.items()) == [("code", 1), ("may", 1), ("unknown", 1), ("data", 1)]


@pytest.mark.parametrize(
    ("policy", "names"),
    [
        (ContentPolicy(Content.CODE), ["d.pkl"]),
        (ContentPolicy(Content.MAY), ["d.pkl", "c.h5"]),
        (DATA_ONLY, ["d.pkl", "c.h5", "b.bin"]),
    ],
)
def test_a_policy_refuses_what_it_names_and_what_is_worse(policy: ContentPolicy, names: list[str]) -> None:
    assert [file.name for file in refused(FOUND, policy)] == names
    with pytest.raises(ContentRefused, match=r"code: d\.pkl \(pickle\)") as caught:
        refuse(FOUND, policy)
    assert caught.value.names == tuple(names)
    refuse(inventory({"a.onnx": data("ONNX")}), policy)


def test_of_many_files_some_are_named_and_none_as_a_terminal_would_obey() -> None:
    found = inventory({f"{number}\x1b[31m": code("script") for number in range(1000)})
    with pytest.raises(ContentRefused, match=r"\\x1b\[31m(.|\n)*and 980 more") as caught:
        refuse(found, DATA_ONLY)
    assert len(caught.value.names) == 1000


def test_numbers_beside_an_onnx_model_are_data_and_a_pickle_there_is_none() -> None:
    model = Look(Content.DATA, "ONNX", ("weights.bin", "./more.bin", "evil.bin"))
    files = {
        "m/model.onnx": model,
        "m/more.bin": unknown("?"),
        "m/weights.bin": unknown("?"),
        "m/evil.bin": code("pickle"),
        "weights.bin": unknown("?"),
    }
    assert {file.name: file.look.content for file in inventory(files).files} == {
        "m/evil.bin": Content.CODE,
        "weights.bin": Content.UNKNOWN,
        "m/model.onnx": Content.DATA,
        "m/more.bin": Content.DATA,
        "m/weights.bin": Content.DATA,
    }
