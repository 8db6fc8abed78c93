"""The plan: labels, vocabularies, splits, order and shards, from the manifest and options alone."""

from dataclasses import fields
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from convert_cases import ALL, plan_of, plan_of_rows

from convert.config import ConvertConfig
from convert.errors import UsageError
from convert.plan.shard_specs import Plan


@pytest.fixture
def plan(tmp_path: Path) -> Any:
    """Plans a table given as rows of text, the first one the header, into one split."""
    return partial(plan_of_rows, tmp_path)


def labels(plan: Plan) -> list[list[int]]:
    return plan.labels.tolist()


def quarantined(plan: Plan) -> list[tuple[int, str, str]]:
    return [(row.row, row.reason, row.detail) for row in plan.quarantined]


# Labels and vocabularies


def test_default_label_columns_stand_in_numerical_order(plan: Any) -> None:
    made = plan("y10,path,y9,yes,y2", "a,p,b,c,d")
    assert list(made.vocabularies.outputs) == ["y2", "y9", "y10"]


def test_label_columns_stand_as_they_are_given(plan: Any) -> None:
    made = plan("path,y0,town", "p,a,b", label_columns=("town", "y0"))
    assert list(made.vocabularies.outputs) == ["town", "y0"]
    assert made.vocabularies.classes == {"town": ("b",), "y0": ("a",)}


@pytest.mark.parametrize(
    ("rows", "outputs"),
    [
        (["a,b"], {"y0": ("a",), "y1": ("b",)}),  # nothing in common
        (["a,b", "b,c"], {"y0": ("a", "b", "c")}),  # overlapping: one for both
        (["b,x", "a,y"], {"y0": ("a", "b"), "y1": ("x", "y")}),
        (["长,9", "é,10", "A,a"], {"y0": ("A", "é", "长"), "y1": ("10", "9", "a")}),  # code points
    ],
)
def test_vocabularies_of_the_labels(
    plan: Any, rows: list[str], outputs: dict[str, tuple[str, ...]]
) -> None:
    table = ["path,y0,y1", *(f"p{i},{row}" for i, row in enumerate(rows))]
    assert plan(*table).vocabularies.classes == outputs
    backwards = plan(table[0], *reversed(table[1:]))
    assert backwards.vocabularies.classes == outputs  # the rows' order has no say


def test_outputs_that_overlap_through_a_third_share(plan: Any) -> None:
    made = plan("path,y0,y1,y2,y3,y4", "p,a,c,a,z,b", "q,b,d,d,z,b")
    assert made.vocabularies.outputs == {
        "y0": "y0",
        "y1": "y0",
        "y2": "y0",
        "y3": "y3",
        "y4": "y0",  # shares only with one that was merged before
    }
    assert made.vocabularies.classes == {"y0": ("a", "b", "c", "d"), "y3": ("z",)}
    assert labels(made) == [[0, 2, 0, 0, 1], [1, 3, 3, 0, 1]]


def test_the_first_output_names_the_vocabulary(plan: Any) -> None:
    made = plan("path,y0,y1,y2,y3", "p,a,b,a,a", "q,a,b,a,b")  # y3 joins y1 and y0, y2
    assert made.vocabularies.outputs == dict.fromkeys(["y0", "y1", "y2", "y3"], "y0")


def test_given_vocabularies(plan: Any) -> None:
    table = ["path,y0,y1", "p,b,b", "q,x,a"]
    one = plan(*table, given={"*": ("b", "a")})
    assert one.vocabularies.outputs == {"y0": "y0", "y1": "y0"}
    assert one.vocabularies.classes == {"y0": ("b", "a")}
    assert labels(one) == [[0, 0], [-1, 1]]
    assert quarantined(one) == [(1, "label_unknown", "not in the vocabulary: y0='x'")]
    half = plan(*table, given={"y1": ("b", "a", "unused")})
    assert half.vocabularies.classes == {"y0": ("b", "x"), "y1": ("b", "a", "unused")}


@pytest.mark.parametrize(
    ("given", "classes"),
    [
        ({"*": ("b", "a")}, {"y0": ("b", "a", "c", "x")}),
        ({"y1": ("b", "z")}, {"y0": ("b", "c", "x"), "y1": ("b", "z", "a")}),
        ({"y0": ("x",), "y1": ("a",)}, {"y0": ("x", "b", "c"), "y1": ("a", "b")}),
    ],
)
def test_classes_are_added_at_the_end(
    plan: Any, given: dict[str, tuple[str, ...]], classes: dict[str, tuple[str, ...]]
) -> None:
    table = ["path,y0,y1", "p,b,b", "q,x,a", "r,c,b"]
    made = plan(*table, given=given, add_classes=True, vocabulary=("f",))
    assert made.vocabularies.classes == classes
    assert not quarantined(made)


def test_added_classes_stand_before_the_blank(plan: Any) -> None:
    options = {"text_column": "t", "text_length": 3, "pad_label": True}
    table = ["path,t", "p,bd", "q,abc"]
    made = plan(*table, given={"*": ("b", "a")}, add_classes=True, vocabulary=("f",), **options)
    assert list(made.vocabularies.classes.values()) == [("b", "a", "c", "d", "")]


def test_labels_that_are_indices(plan: Any) -> None:
    table = ["path,y0", "p,0", "q,2", "r,3", "s,-1", "t,01", "u,"]
    made = plan(*table, given={"*": ("c", "b", "a")}, labels_are_indices=True, vocabulary=("f",))
    assert labels(made)[:2] == [[0], [2]]
    assert quarantined(made) == [
        *((row, "label_unknown", f"not in the vocabulary: y0={text!r}")
          for row, text in ((2, "3"), (3, "-1"), (4, "01"))),
        (5, "label_missing", "no label for y0"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("more", "given", "message"),
    [
        (
            {"labels_are_indices": True, "vocabulary": ("y0=f",)},
            {"y0": ("a", "b")},
            "--labels-are-indices: y1 has no vocabulary; give it one.",
        ),
        ({}, {"y9": ("a",)}, "--vocabulary y9=FILE: no such output; they are y0, y1."),
        (
            {"text_column": "y0"},
            {"y1": ("a",)},
            "--vocabulary y1=FILE: a text has one vocabulary; give --vocabulary FILE.",
        ),
    ],
)
def test_vocabularies_that_do_not_fit(
    plan: Any, more: dict[str, Any], given: dict[str, tuple[str, ...]], message: str
) -> None:
    with pytest.raises(UsageError) as caught:
        plan("path,y0,y1", "p,0,1", given=given, **more)
    assert str(caught.value) == message


@pytest.mark.parametrize(
    ("texts", "more", "length", "left_out"),
    [
        (["ab", "cd", "efg"], {}, 2, [2]),  # the commonest length
        (["ab", "efg"], {}, 3, [0]),  # on a tie the longer
        (["ab", "cd", "efg"], {"text_length": 3}, 3, [0, 1]),
        (["长长", "\U0001f600b", "abc"], {}, 2, [2]),  # characters, not bytes or halves
        (["ab", "c", "efg"], {"pad_label": True}, 3, []),  # the longest
        (["ab", "c", "efg"], {"pad_label": True, "text_length": 2}, 2, [2]),
    ],
)
def test_length_of_a_text(
    plan: Any, texts: list[str], more: dict[str, Any], length: int, left_out: list[int]
) -> None:
    made = plan("path,t", *(f"p,{text}" for text in texts), text_column="t", **more)
    assert made.vocabularies.outputs == {f"y{i}": "text" for i in range(length)}
    at_most = "at most " if "pad_label" in more else ""
    assert quarantined(made) == [
        (row, "label_length", f"{len(texts[row])} characters, expected {at_most}{length}")
        for row in left_out
    ]


def test_the_blank_is_the_last_class(plan: Any) -> None:
    made = plan("path,t", "p,ba", "q,c", "r,", text_column="t", pad_label=True)
    assert made.vocabularies.classes == {"text": ("a", "b", "c", "")}
    assert labels(made)[:2] == [[1, 0], [2, 3]]
    assert quarantined(made) == [(2, "label_missing", "the text is empty")]
    more: dict[str, Any] = {"text_column": "t", "pad_label": True}
    given = plan("path,t", "p,ba", "q,c", given={"*": tuple("cba")}, **more)
    assert given.vocabularies.classes == {"text": ("c", "b", "a", "")}


def test_a_label_that_no_good_row_has_is_no_class(plan: Any) -> None:
    made = plan("path,y0,y1", "p,a,b", ",z,b", "q,,b")
    assert made.vocabularies.classes == {"y0": ("a",), "y1": ("b",)}
    assert quarantined(made) == [
        (1, "path_missing", "the path is empty"),
        (2, "label_missing", "no label for y0"),
    ]


# Boxes


def test_boxes_of_the_rows(plan: Any) -> None:
    header = "path,y0,left,top,right,bottom"
    rows = ["p,a,1,2,3,4", "q,a,1,2,1,4", "r,a,,2,3,4", "s,a,1.0,2,3,4", "t,a,-1,0,3,4",
            "u,a,1,5,3,4"]  # fmt: skip
    made = plan(header, *rows, order="source")
    assert made.shard("train", 0).boxes == [(1, 2, 3, 4), (-1, 0, 3, 4)]
    rule = "left, top, right, bottom must be whole numbers with left < right and top < bottom, got"
    assert quarantined(made) == [
        (1, "box_invalid", f"{rule} 1, 2, 1, 4"),
        (2, "box_invalid", f"{rule} nothing, 2, 3, 4"),
        (3, "box_invalid", f"{rule} 1.0, 2, 3, 4"),
        (5, "box_invalid", f"{rule} 1, 5, 3, 4"),
    ]
    assert plan(header, *rows, crop=(0, 0, 1, 1)).boxes is None  # one box for all
    assert plan("path,y0,left,top,right", "p,a,x,y,z").boxes is None  # columns of something else


# Shards, and what tells two plans apart


@pytest.mark.parametrize(
    ("num_records", "records_per_shard", "bounds"),
    [
        (2, 3, [(0, 2)]),  # never an empty shard
        (9, 3, [(0, 3), (3, 6), (6, 9)]),
        (8, 3, [(0, 3), (3, 6), (6, 8)]),  # the last shard is the short one
        (3, 1, [(0, 1), (1, 2), (2, 3)]),
    ],
)
def test_rows_of_each_shard(
    plan: Any, num_records: int, records_per_shard: int, bounds: list[tuple[int, int]]
) -> None:
    rows = [f"{row}.png,a" for row in range(num_records)]
    made = plan("path,y0", *rows, shard_bytes=364 * records_per_shard, order="source")
    found = [made.shard_rows("train", index).tolist() for index in range(made.num_shards("train"))]
    assert found == [list(range(start, stop)) for start, stop in bounds]


@pytest.mark.parametrize(
    ("shard_bytes", "records"),
    [(1, 1), (364, 1), (2 * 364 - 1, 1), (2 * 364, 2), (1 << 27, (1 << 27) // 364)],
)
def test_records_of_a_shard(plan: Any, shard_bytes: int, records: int) -> None:
    made = plan("path,y0", "p,a", shard_bytes=shard_bytes)
    assert (made.layout.stride, made.records_per_shard) == (364, records)


TABLE = [
    "path,y0,y1,t,s,g,left,top,right,bottom",
    *(f"p{i},a,b,ab,train,g,0,0,4,4" for i in range(9)),
]
CHANGES: dict[str, Any] = {
    "from_names": "(.)",
    "format": "table",
    "manifest_encoding": "utf-8",
    "path_column": "path",
    "verbatim_labels": True,
    "fit": "pad",
    "lenient": True,
    "add_classes": True,
    "label_columns": ("y0",),
    "text_column": "t",
    "text_length": 2,
    "pad_label": True,
    "labels_are_indices": True,
    "crop": (0, 0, 3, 3),
    "size": (5, 5),
    "channels": 1,
    "alpha": "white",
    "resample": "box",
    **dict.fromkeys(("pad_crop", "exif", "fast_decode"), True),
    "encoding": "png",
    "quality": 50,
    "max_pixels": 99,
    "split": (("test", 1.0),),
    "split_column": "s",
    "group_column": "g",
    "order": "source",
    "name": "strips",
    "seed": 3,
    "shard_bytes": 999,
}
NEEDED: dict[str, dict[str, Any]] = {
    "quality": {"encoding": "jpeg"},
    "text_length": {"text_column": "t"},
    "pad_label": {"text_column": "t"},
    "labels_are_indices": {"vocabulary": ("f",)},
    "split_column": {"split": ()},
    "add_classes": {"vocabulary": ("f",)},
}


@pytest.mark.parametrize("option", CHANGES)
def test_each_option_that_changes_bytes_makes_another_plan(plan: Any, option: str) -> None:
    given = {"*": ("a", "b")}
    base = NEEDED.get(option, {})
    assert plan(*TABLE, given=given, **base).plan_id == plan(*TABLE, given=given, **base).plan_id
    if option == "split_column":
        base = {"split": ALL}
    after = plan(*TABLE, given=given, **{**NEEDED.get(option, {}), option: CHANGES[option]})
    assert plan(*TABLE, given=given, **base).plan_id != after.plan_id


SAME: dict[str, Any] = {
    "manifest": None,  # its content's digest is part of the plan instead
    "dataset": "elsewhere",
    "root": "/elsewhere",
    "allow": ("/elsewhere",),
    "vocabulary": ("elsewhere.txt",),
    "corrections": ("elsewhere.csv",),
    "workers": 7,
    "max_bad_fraction": 0.5,
    "overwrite": True,
    "retry_quarantined": True,
}
CLUSTER = {"engine": "spark", "master": "local[2]"}  # the latter needs the former


def test_every_option_either_changes_the_plan_or_does_not() -> None:
    assert {field.name for field in fields(ConvertConfig)} == {*CHANGES, *SAME, *CLUSTER}


def test_the_cluster_is_no_part_of_the_plan(plan: Any) -> None:
    assert plan(*TABLE, workers=None, **CLUSTER).plan_id == plan(*TABLE).plan_id


@pytest.mark.parametrize("option", [option for option in SAME if option != "manifest"])
def test_what_changes_no_byte_makes_the_same_plan(plan: Any, option: str) -> None:
    assert plan(*TABLE).plan_id == plan(*TABLE, **{option: SAME[option]}).plan_id


def test_content_and_vocabulary_are_part_of_the_plan(plan: Any, tmp_path: Path) -> None:
    ids = [
        plan(*TABLE).plan_id,
        plan(*TABLE[:-1]).plan_id,
        plan(*TABLE, given={"*": ("a", "b")}).plan_id,
        plan(*TABLE, given={"*": ("b", "a")}).plan_id,
        plan(*TABLE, given={"y0": ("b", "a")}).plan_id,
    ]
    assert len(set(ids)) == len(ids)
    (tmp_path / "n.csv").write_bytes((tmp_path / "m.csv").read_bytes())
    assert plan_of(tmp_path / "n.csv", {"y0": ("b", "a")}, split=ALL).plan_id == ids[-1]
