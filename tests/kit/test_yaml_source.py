"""YAML written by people: exact values, line numbers, every problem at once, nothing dangerous."""

from decimal import Decimal
from pathlib import Path

import pytest
from pydantic import BaseModel, ConfigDict

from kit.yaml_source import MAXIMUM_BYTES, SourceError, read_model, read_yaml


class Item(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)

    code: str
    weight: int = 1


class Shop(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)

    name: str
    open: bool = True
    items: tuple[Item, ...] = ()


def written(folder: Path, text: str) -> Path:
    path = folder / "shop.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def problems(folder: Path, text: str) -> list[str]:
    """The lines of the error, without the path they begin with."""
    path = written(folder, text)
    with pytest.raises(SourceError) as caught:
        read_model(path, Shop)
    return [line.removeprefix(f"{path}:") for line in str(caught.value).splitlines()]


def test_scalars_keep_what_was_written(tmp_path: Path) -> None:
    text = "[on, no, yes, 12:30, 007, 1.50, -3, true, null, ~, '1', 2027-01-31, 1e5, .5, 0x1f]"
    assert read_yaml(written(tmp_path, text)).data == (
        *("on", "no", "yes", "12:30", 7, Decimal("1.50"), -3, True, None, None),
        *("1", "2027-01-31", "1e5", Decimal("0.5"), "0x1f"),
    )


def test_a_key_is_always_text(tmp_path: Path) -> None:
    assert read_yaml(written(tmp_path, "on: 1\n2: x\n")).data == {"on": 1, "2": "x"}


def test_a_valid_file_becomes_the_model(tmp_path: Path) -> None:
    shop = read_model(written(tmp_path, "name: Corner\nitems:\n  - { code: a, weight: 2 }\n"), Shop)
    assert shop == Shop(name="Corner", items=(Item(code="a", weight=2),))


def test_every_problem_is_listed_with_line_and_field_in_the_order_of_the_file(
    tmp_path: Path,
) -> None:
    text = "nmae: Corner\nopen: yes\nitems:\n  - code: a\n    wieght: 2\n  - weight: 1.5\n"
    assert problems(tmp_path, text) == [
        "1: nmae: unknown field. Did you mean 'name'?",
        "2: open: must be true or false, not 'yes'",
        "5: items[0].wieght: unknown field. Did you mean 'weight'?",
        "6: items[1].code: is required and missing",
        "6: items[1].weight: must be a whole number, not 1.5",
    ]


def test_a_field_with_no_near_name_is_answered_with_all_names(tmp_path: Path) -> None:
    assert problems(tmp_path, "name: x\nqqq: 1\n") == [
        "2: qqq: unknown field. Valid here: name, open, items."
    ]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("name: a\nitems: 3\n", "2: items: must be a list, not 3"),
        ("name: a\nitems: [x]\n", "2: items[0]: must be a group of fields, not 'x'"),
        ("name: [a]\n", "1: name: must be text (in quotes if it looks like something else), "
         "not a list"),
        ("- name\n", "1: must be a group of fields, not a list"),
        ("", "1: must be a group of fields, not nothing"),
        ("name: a\nname: b\n", "2: name: is given twice; keep one"),
        ("name: a\nitems:\n- {code: a, code: b}\n", "3: items[0].code: is given twice; keep one"),
    ],
)  # fmt: skip
def test_a_wrong_shape_is_named(tmp_path: Path, text: str, problem: str) -> None:
    assert problems(tmp_path, text) == [problem]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (
            "name: &a x\nitems: *a\n",
            "1: anchors (&) and aliases (*) are not allowed; write the value out",
        ),
        (
            "name: x\nitems: !!python/object:os.system {}\n",
            "2: tags such as tag:yaml.org,2002:python/object:os.system are not allowed; "
            "write the plain value",
        ),
        ("[" * 21 + "]" * 21, "1: is nested more than 20 deep"),
        ("name: a\n---\nname: b\n", "2: not valid YAML: but found another document"),
        ("name: a\n  items: b\n", "2: not valid YAML: mapping values are not allowed here"),
        ("name: 'a\n", "2: not valid YAML: found unexpected end of stream"),
        ("name: a\nx: b\x07\n", "2: has a control character"),
        ("{[a]: 1}", "1: a key must be plain text"),
        ("x" * (MAXIMUM_BYTES + 1), "1: is larger than 64 KiB"),
    ],
)  # fmt: skip
def test_what_is_unsafe_or_unreadable_is_refused(tmp_path: Path, text: str, problem: str) -> None:
    assert problems(tmp_path, text) == [problem]


def test_a_bomb_of_aliases_is_refused_at_its_first_anchor(tmp_path: Path) -> None:
    lines = ["a0: &a0 [x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 12)]
    assert problems(tmp_path, "\n".join(lines)) == [
        "1: anchors (&) and aliases (*) are not allowed; write the value out"
    ]


def test_bytes_that_are_not_utf8_are_refused_with_their_line(tmp_path: Path) -> None:
    path = tmp_path / "shop.yaml"
    path.write_bytes(b"name: a\nx: \xff\n")
    with pytest.raises(SourceError) as caught:
        read_yaml(path)
    assert str(caught.value) == f"{path}:2: is not UTF-8 text"


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    path = tmp_path / "none.yaml"
    with pytest.raises(SourceError) as caught:
        read_yaml(path)
    assert str(caught.value) == f"{path}:1: cannot be read: No such file or directory"
