"""Labels that only look different are one class; what cannot be made equal is said."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from convert_cases import (
    ALL,
    convert,
    draw_sources,
    options_of,
    plan_of,
    plan_of_rows,
    write_manifest,
)
from verify_cases import problems

from convert.dataset.read import read_dataset
from convert.errors import UsageError
from convert.job.label_notes import understood
from convert.plan.labels.text import Changed
from convert.plan.shard_specs import make_plan
from convert.write.open_inputs import given_vocabularies, open_manifest

ACUTE = "e\u0301"  # as NFD has it


def test_blanks_and_forms_are_made_equal(tmp_path: Path) -> None:
    plan = plan_of_rows(
        tmp_path, "path,y0,y1", "a,x,1", "b, x,1", "c,x\u3000,2", f"d,{ACUTE},2", "e,\u00e9,\u00a01"
    )
    assert plan.vocabularies.classes == {"y0": ("x", "\u00e9"), "y1": ("1", "2")}
    assert plan.changed == Changed(labels=4, row=1, before=" x", after="x")
    assert understood(plan)[1] == (
        "4 labels had blanks around them or were not in Unicode's normal form C, and were changed: "
        "row 1, ' x' to 'x'; --verbatim-labels keeps them"
    )


def test_a_text_of_nfd_has_as_many_characters_as_one_sees(tmp_path: Path) -> None:
    rows = [["a", f" caf{ACUTE} "], ["b", "caf\u00e9"], ["c", "cafe"]]
    manifest = write_manifest(tmp_path / "m.csv", ["path", "text"], rows)
    plan = plan_of(manifest, split=ALL)
    assert len(plan.vocabularies.outputs) == 4 and not plan.quarantined
    assert plan.labels[0].tolist() == plan.labels[1].tolist() != plan.labels[2].tolist()


def test_lists_of_labels_too(tmp_path: Path) -> None:
    rows = [
        {"path": str(i), "text": t} for i, t in enumerate([["a", "b "], ["a", "b"], ["c", "b"]])
    ]
    (tmp_path / "m.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    plan = plan_of(tmp_path / "m.jsonl", split=ALL)
    assert plan.vocabularies.classes == {"text": ("a", "b", "c")}
    assert plan.changed == Changed(labels=1, row=0, before="b ", after="b")


def test_verbatim_labels_stay(tmp_path: Path) -> None:
    rows = ("path,y0", "a,x", "b, x", f"c,{ACUTE}", "d,\u00e9")
    plan = plan_of_rows(tmp_path, *rows, verbatim_labels=True)
    assert plan.vocabularies.classes["y0"] == (" x", ACUTE, "x", "\u00e9")
    assert plan.changed is None
    assert plan.options["verbatim_labels"] is True
    assert "verbatim_labels" not in plan_of_rows(tmp_path, *rows).options


def test_a_label_of_blanks_is_missing(tmp_path: Path) -> None:
    plan = plan_of_rows(tmp_path, "path,y0", "a,x", "b,  ", "c,y")
    assert [(q.row, q.reason) for q in plan.quarantined] == [(1, "label_missing")]


def test_a_vocabulary_is_read_as_labels_are(tmp_path: Path) -> None:
    (tmp_path / "classes").write_text(f"{ACUTE}\nx \n", encoding="utf-8")
    manifest = write_manifest(tmp_path / "m.csv", ["path", "y0"], [["a", "\u00e9"], ["b", "x"]])
    given = given_vocabularies((str(tmp_path / "classes"),), verbatim=False)
    assert given == {"*": ("\u00e9", "x")}
    assert not plan_of(manifest, given, split=ALL).quarantined
    kept = given_vocabularies((str(tmp_path / "classes"),), verbatim=True)
    assert kept == {"*": (ACUTE, "x ")}
    (tmp_path / "classes").write_text(f"{ACUTE}\n\u00e9\n", encoding="utf-8")
    with pytest.raises(UsageError, match="line 2 repeats the class"):
        given_vocabularies((str(tmp_path / "classes"),), verbatim=False)


def test_the_classes_of_a_dataset(tmp_path: Path) -> None:
    """Texts give theirs to texts, columns to columns of their names; a padding blank is none."""
    draw_sources(tmp_path, 4)
    rows = [[f"i/{i}.png", text] for i, text in enumerate(["ab", "b", "ca", "a"])]
    table = write_manifest(tmp_path / "t.csv", ["path", "text"], rows)
    convert(table, tmp_path / "texts", split=ALL, pad_label=True)
    convert(tmp_path / "m.csv", tmp_path / "columns", split=ALL)
    assert given_vocabularies((str(tmp_path / "texts"),), verbatim=False) == {"*": ("a", "b", "c")}
    columns = {"y0": ("0", "1", "2", "3"), "y1": ("0", "1", "2", "3")}
    assert given_vocabularies((str(tmp_path / "columns"),), verbatim=False) == columns
    one = given_vocabularies((f"y1={tmp_path}/columns",), verbatim=False)
    assert one == {"y1": columns["y1"]}
    with pytest.raises(UsageError, match="has no output 'y7'; they are y0, y1"):
        given_vocabularies((f"y7={tmp_path}/columns",), verbatim=False)
    test = write_manifest(
        tmp_path / "n.csv", ["path", "text"], [["i/1.png", "c"], ["i/2.png", "d"]]
    )
    options = {"split": (("test", 1.0),), "vocabulary": (str(tmp_path / "texts"),)}
    result = convert(
        test, tmp_path / "test", **options, text_length=2, pad_label=True, max_bad_fraction=0.5
    )
    assert result.info.classes == read_dataset(str(tmp_path / "texts")).classes
    assert (result.records, result.quarantined) == (1, 1)


def test_a_grown_vocabulary_keeps_its_indices(tmp_path: Path) -> None:
    draw_sources(tmp_path, 4)

    def table(name: str, texts: str) -> Path:
        rows = [[f"i/{number}.png", text] for number, text in enumerate(texts)]
        return write_manifest(tmp_path / name, ["path", "y0"], rows)

    convert(table("old.csv", "bcbc"), tmp_path / "old", split=ALL)
    more = {"vocabulary": (str(tmp_path / "old"),), "add_classes": True, "split": ALL}
    new = table("new.csv", "acab")
    result = convert(new, tmp_path / "new", **more)
    assert result.info.classes == {"y0": ("b", "c", "a")}
    assert result.info.options["add_classes"] is True
    assert problems(tmp_path / "new", manifest=str(new)) == []


def test_a_blank_may_be_a_class_of_a_vocabulary(tmp_path: Path) -> None:
    """As it is one of a text with a blank inside."""
    (tmp_path / "classes").write_text("a\n \nb\n")
    given = given_vocabularies((str(tmp_path / "classes"),), verbatim=False)
    assert given == {"*": ("a", " ", "b")}
    manifest = write_manifest(tmp_path / "m.csv", ["path", "text"], [["p", "a b"], ["q", "b a"]])
    assert plan_of(manifest, given, split=ALL).labels.tolist() == [[0, 1, 2], [2, 1, 0]]


def test_groups_are_one_however_they_were_typed(tmp_path: Path) -> None:
    forms = ["a", " a", "a\u00a0", ACUTE, "\u00e9"]
    rows = [f"{i},{i % 2},{forms[i % 5]}" for i in range(60)]
    halves = (("train", 0.5), ("validation", 0.5))
    for seed in range(8):
        try:
            plan = plan_of_rows(
                tmp_path, "path,y0,g", *rows, group_column="g", split=halves, seed=seed
            )
        except UsageError:  # both groups fell into one split
            continue
        for group in ((0, 1, 2), (3, 4)):
            members = {i for i in range(60) if i % 5 in group}
            assert any(members <= set(found.tolist()) for found in plan.splits.values())


def test_lists_of_several_lengths(tmp_path: Path) -> None:
    texts = [["1", "22"], ["3"], ["1", "", "3"], [], ["3", "1"], ["22", "1"], None]
    rows = [{"path": str(i), "text": t} for i, t in enumerate(texts)]
    (tmp_path / "m.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    plan = plan_of(tmp_path / "m.jsonl", split=ALL)
    assert [(q.row, q.reason, q.detail) for q in plan.quarantined] == [
        (1, "label_length", "1 labels, expected 2"),
        (2, "label_length", "3 labels, expected 2"),
        (3, "label_missing", "the text is empty"),
        (6, "label_missing", "the text is empty"),
    ]
    assert plan.vocabularies.classes == {"text": ("1", "22", "3")}
    padded = plan_of(tmp_path / "m.jsonl", split=ALL, pad_label=True)
    assert [(q.row, q.reason) for q in padded.quarantined] == [
        (2, "label_missing"), (3, "label_missing"), (6, "label_missing"),
    ]  # fmt: skip
    blank = len(padded.vocabularies.classes["text"]) - 1
    assert padded.labels[1].tolist()[1:] == [blank] * (len(padded.vocabularies.outputs) - 1)


def lines_of(folder: Path, *rows: str, **more: object) -> list[str]:
    return understood(plan_of_rows(folder, *rows, **more))


def test_what_was_understood(tmp_path: Path) -> None:
    rows = [f"{i},{i % 2},{'ab'[i % 2]},{'AB'[i // 2 % 2]}" for i in range(8)]
    assert lines_of(tmp_path, "path,y0,y1,y2", *rows) == [
        "3 outputs of 2 classes each; for example 0aA, 1bA, 0aB"
    ]
    rows = [f"{i},{i % 2},word{i % 3}" for i in range(9)]
    assert lines_of(tmp_path, "path,y0,y1", *rows) == [
        "2 outputs; classes: y0 2, y1 3; for example 0 word0, 1 word1, 0 word2"
    ]


@pytest.mark.parametrize(
    ("labels", "warning"),
    [
        (
            ["a", "b", "a\u200b", "b", "a\u200b", "a"],
            r"warning: the class 'a\u200b' has a character that cannot be seen, U+200B (row 2: 2)",
        ),
        *(
            (
                ["a", "b", f"a{unseen}", "b", f"a{unseen}", "a"],
                f"warning: the class {f'a{unseen}'!a} has a character that cannot be seen, "
                f"U+{ord(unseen):04X} (row 2: 2)",
            )
            for unseen in "\ufe0f\u034f\u3164\u115f\u2800\ufeff\u00ad"
        ),
        (
            ["A", "\uff21", "A", "\uff21", "B", "B"],
            r"warning: the classes 'A' and '\uff21' look alike (A, " + "\uff21) (row 1: 1)",
        ),
        (
            ["a b", "ab", "ab", "a b", "c", "c"],
            "warning: the classes 'a b' and 'ab' look alike (a b, ab) (row 1: 1)",
        ),
        (
            ["x"] * 6,
            "warning: there is nothing to learn where a label never changes: y0 always 'x'",
        ),
        (
            ["1234", "2345", "3456", "4567", "5678", "1234"],
            "warning: 4 of the 5 classes of y0 occur only once, such as '2345'; nothing can be "
            "learned of these; if they are texts, --text-column y0 makes each character a label",
        ),
    ],
)
def test_what_looks_strange(tmp_path: Path, labels: list[str], warning: str) -> None:
    rows = [f"{row},{label}" for row, label in enumerate(labels)]
    assert warning in lines_of(tmp_path, "path,y0", *rows)


def test_a_split_key_that_does_not_decide_is_told(tmp_path: Path) -> None:
    rows = [f"{row},{'ab'[row % 2]},{'' if row % 3 else row},train" for row in range(9)]
    told = lines_of(tmp_path, "path,y0,id,part", *rows, group_column="id")
    assert told[1] == "warning: 6 rows have no id, and stay together in one split (such as row 1)"
    told = lines_of(tmp_path, "path,y0,id,split", *rows, group_column="id", split=())
    assert told[2] == (
        "warning: --split-key id decides nothing, since 'split' names each row's split; "
        "--split NAME=SHARE,... would leave it to the key"
    )
    assert not any("id" in line for line in lines_of(tmp_path, "path,y0,id,part", *rows))


@pytest.mark.parametrize(
    "name", ["第一", "first char", "image", "pace", "_x", "block1_conv", "a/b"]
)
def test_names_that_train_refuses(tmp_path: Path, name: str) -> None:
    with pytest.raises(UsageError) as caught:
        plan_of_rows(tmp_path, f"path,{name}", "a,x", "b,y", label_columns=(name,))
    assert str(caught.value).startswith(
        f"{tmp_path}/m.csv: the label column {name!r} cannot be an output: "
    )


def test_a_name_that_another_output_brings(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="'y0_position' cannot be an output"):
        plan_of_rows(tmp_path, "path,y0,y0_position", "a,x,y", label_columns=("y0", "y0_position"))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"pad_label": True}, "--pad-label needs --text-column: label columns have no length."),
        ({"text_length": 3}, "--text-length needs --text-column: label columns have no length."),
    ],
)
def test_options_of_texts(tmp_path: Path, options: dict[str, object], message: str) -> None:
    with pytest.raises(UsageError) as caught:
        plan_of_rows(tmp_path, "path,y0", "a,x", "b,y", **options)
    assert str(caught.value) == message


def test_indices_are_no_text(tmp_path: Path) -> None:
    (tmp_path / "classes").write_text("x\ny\n")
    with pytest.raises(UsageError, match="--labels-are-indices needs --label-columns"):
        plan_of_rows(
            tmp_path, "path,text", "a,0", "b,1",
            labels_are_indices=True, vocabulary=(str(tmp_path / "classes"),),
        )  # fmt: skip


def test_boxes_and_splits_with_blanks_around_them(tmp_path: Path) -> None:
    plan = plan_of_rows(
        tmp_path, "path, y0, split, left, top, right, bottom", "a, x, train, 0, 1, 5, 6",
        "b, y, val,0,0,4,4", split=(), size=(4, 4),
    )  # fmt: skip
    assert plan.boxes is not None
    assert plan.boxes.tolist() == [[0, 1, 5, 6], [0, 0, 4, 4]]
    assert list(plan.splits) == ["train", "validation"]


def test_only_options_that_are_used_are_in_the_plan(tmp_path: Path) -> None:
    """So that datasets of before keep their ids."""
    manifest = draw_sources(tmp_path, 3)
    plain = plan_of(manifest, split=ALL).options
    younger = {
        "format": "table", "manifest_encoding": "utf-8", "path_column": "path",
        "verbatim_labels": True, "fit": "pad", "lenient": True,
    }  # fmt: skip
    assert not set(younger) & set(plain)
    for name, value in younger.items():
        config = options_of(manifest, split=ALL, **{name: value})
        plan = make_plan(open_manifest(config), config, {})
        assert plan.options == {**plain, name: value}
