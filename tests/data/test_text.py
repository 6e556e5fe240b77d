"""Texts: the standard splits as they were measured, files of one's own, and what is wrong with a row."""

import json

import numpy as np
import pytest
import torch

from tl_helpers.data import TEXTS, TextSet, load, near_duplicates
from tl_helpers.data.rows import read_rows
from tl_helpers.data.text import load_text
from tl_helpers.errors import CourseError

R8 = ("acq", "crude", "earn", "grain", "interest", "money-fx", "ship", "trade")


@pytest.fixture(scope="module")
def r52():
    return load("reuters-r52")


def a_file(path, rows, header="text,label"):
    path.write_text("\n".join([header, *rows]) + "\n", encoding="utf-8")
    return path


def some_rows(n=24):
    return [f"document number {i} about {('wheat', 'gold')[i % 2]},{('grain', 'metal')[i % 2]}" for i in range(n)]


def test_the_standard_splits_are_whole():
    r8 = load("reuters-r8")
    assert r8.classes == R8 and len(r8.train) + len(r8.val) == 5485 and len(r8.test) == 2189
    assert r8.class_counts()["earn"] == 2840 + 1083 and r8.texts[0].startswith("champion products")
    assert any("4 test documents are also in train or val" in note for note in r8.notes)
    assert r8.licence and "Reuters" in r8.attribution
    news = load("20newsgroups")
    assert (len(news.train) + len(news.val), len(news.test), len(news.classes)) == (11293, 7528, 20)


def test_a_class_of_one_document_stays_in_train(r52):
    assert (len(r52.train) + len(r52.val), len(r52.test), len(r52.classes)) == (6532, 2568, 52)
    for seed in (0, 1):
        counts = load("reuters-r52", split_seed=seed).train.class_counts()
        assert min(counts.values()) >= 1, "every class has to be learnt from"
    share = len(r52.val) / 6532
    assert 0.12 < share < 0.17 and set(r52.val.labels.tolist()) < set(r52.train.labels.tolist())


def test_parts_are_disjoint_and_follow_from_the_seed(r52):
    parts = [r52.split.train, r52.split.val, r52.split.test]
    assert sorted(np.concatenate(parts).tolist()) == list(range(len(r52)))
    again, other = load("reuters-r52"), load("reuters-r52", split_seed=1)
    assert again.split.hash == r52.split.hash != other.split.hash
    assert np.array_equal(other.split.test, r52.split.test), "the test set is the standard one, whatever the seed"
    assert not set(r52.train.texts) & set(r52.val.texts), "equal documents stay on one side"


def test_few_and_subset(r52):
    few = r52.train.few(3, seed=1)
    counts = few.class_counts()
    assert max(counts.values()) == 3 and counts["potato"] == min(3, r52.train.class_counts()["potato"])
    assert few.role == "train" and few.fingerprint != r52.train.fingerprint
    assert r52.subset([5, 2]).texts == (r52.texts[5], r52.texts[2]) and r52[5] == (r52.texts[5], int(r52.labels[5]))
    with pytest.raises(CourseError, match="belong to the whole"):
        _ = few.train


@pytest.mark.parametrize("end", ["csv", "tsv", "jsonl"])
def test_files_of_ones_own(tmp_path, end):
    rows = [row.rsplit(",", 1) for row in some_rows()]
    if end == "jsonl":
        lines = [json.dumps({"Text": text, "Category": label}) for text, label in rows]
        (tmp_path / "a.jsonl").write_text("\n".join(lines), encoding="utf-8")
    else:
        mark = "\t" if end == "tsv" else ","
        a_file(tmp_path / f"a.{end}", [mark.join(row) for row in rows], mark.join(["Text", "Category"]))
    found = load(tmp_path / f"a.{end}")
    assert found.classes == ("grain", "metal") and len(found) == 24 and found.notes == ()
    assert (len(found.train), len(found.val), len(found.test)) == (15, 3, 6)
    assert found.names[0] == ("line 1" if end == "jsonl" else "line 2")


@pytest.mark.parametrize("name, content", [("a.jsonl", "{}\n"), ("a.csv", "\ntext,label\nhello,a\n")])
def test_a_file_without_any_column_is_explained(tmp_path, name, content):
    (tmp_path / name).write_text(content, encoding="utf-8")
    with pytest.raises(CourseError, match=r"no column of a usual name for the text .*it has none at all"):
        load(tmp_path / name)


def test_quotes_commas_and_columns_by_name(tmp_path):
    rows = [f'x,"one, ""two""\nand {i}",{"ab"[i % 2]}' for i in range(12)]
    path = a_file(tmp_path / "a.csv", rows, "id,body,kind")
    found = load(path, text_column="body", label_column="kind")
    assert found.texts[3] == 'one, "two"\nand 3' and found.names[3] == "line 8" and found.classes == ("a", "b")
    with pytest.raises(
        CourseError, match=r"no column of a usual name for the text.*it has id, body, kind.*--text-column"
    ):
        load(path)
    with pytest.raises(CourseError, match=r"no column 'sort'; it has id, body, kind"):
        load(path, text_column="body", label_column="sort")


def test_no_text_is_lost_without_a_word(tmp_path):
    path = a_file(tmp_path / "a.csv", [*some_rows(), "Hello, world,pos", "spare,metal,,"])
    with pytest.raises(CourseError, match=r"line 26 has more cells than the header: put a text with commas.*in quotes"):
        load(path)
    assert len(load(path, skip_bad=True)) == 25
    rows = ["neg,a", 'pos,"open quote', "neg,b", "pos,c"]
    with pytest.raises(CourseError, match=r"open\.csv, line 3: .*Is a quote not closed"):
        load(a_file(tmp_path / "open.csv", rows, "label,text"))
    rows = ["neg\ta", 'pos\t"so" he said', "neg\tb", 'pos\t"and" so']
    with pytest.raises(CourseError, match=r"open\.tsv: line 3 goes on after the quote"):
        load(a_file(tmp_path / "open.tsv", rows, "label\ttext"))
    with pytest.raises(CourseError, match=r"head\.csv, line 1: "):
        load(a_file(tmp_path / "head.csv", rows, '"label,text'))


@pytest.mark.parametrize("mark", [";", "\t"])
def test_a_csv_may_be_separated_as_its_header_is(tmp_path, mark):
    rows = [
        f'"number {i}; one, two";{"ab"[i % 2]}' if mark == ";" else f"number {i}; one, two\t{'ab'[i % 2]}"
        for i in range(12)
    ]
    found = load(a_file(tmp_path / "a.csv", rows, f"text{mark}label"))
    assert found.texts[3] == "number 3; one, two" and found.classes == ("a", "b")
    rows = [f"{i}; {i}{'ab'[i % 2]},{'ab'[i % 2]}" for i in range(12)]
    assert load(a_file(tmp_path / "a.csv", rows, f'"text{mark}",label'), text_column=f"text{mark}").texts[1] == "1; 1b"


def test_a_folder_with_its_own_test_file(tmp_path):
    a_file(tmp_path / "train.csv", some_rows())
    with pytest.raises(CourseError, match=r"no test\.csv"):
        load(tmp_path)
    with pytest.raises(CourseError, match=r"no train\.csv"):
        load_text(tmp_path / "..")
    a_file(tmp_path / "test.csv", ["gold rose,metal", "rain fell,grain"])
    found = load(tmp_path)
    assert found.test.texts == ("gold rose", "rain fell") and len(found.train) + len(found.val) == 24
    a_file(tmp_path / "test.csv", ["gold rose,metal", "rain fell,rice"])
    with pytest.raises(CourseError, match="rice occurs in val or test, but in no training row"):
        load(tmp_path)
    a_file(tmp_path / "test.csv", ["gold rose,metal", "rain fell,grain"])
    a_file(tmp_path / "validation.csv", ["gold fell,metal", "rain rose,grain", "rain stayed,grain"])
    assert load(tmp_path).val.texts == ("gold fell", "rain rose", "rain stayed")


def test_equal_documents_are_told_and_stay_together(tmp_path):
    same = ["the very same,grain"] * 2
    rows = [*some_rows(20), *same, "the very same,metal", "lost \ufffd letter,metal"]
    found = load(a_file(tmp_path / "a.csv", rows))
    assert any("2 documents are exact repeats; 1 of these have another label" in note for note in found.notes)
    assert any("1 documents contain" in note for note in found.notes)
    where = {part for part in ("train", "val", "test") if "the very same" in getattr(found, part).texts}
    assert len(where) == 1


def test_letters_that_were_encoded_twice_are_told(tmp_path):
    wrong = [word.encode().decode("cp1252") for word in ("café", "it’s", "Größe", "Öl", "50 °C", "naïve")]
    fine = ["café", "it’s", "São Paulo", "Ângela", "AMANHÃ", "Größe", "CHÂTEAU"]
    found = load(a_file(tmp_path / "a.csv", [*some_rows(20), *(f"{word} is here,metal" for word in [*wrong, *fine])]))
    assert any(note.startswith("6 documents contain letters such as Ã© or â€™") for note in found.notes)
    assert load(a_file(tmp_path / "b.csv", [*some_rows(20), *(f"{word} is here,metal" for word in fine)])).notes == ()


def test_a_class_that_only_repeats_anothers_document_stays_in_train(tmp_path):
    path = a_file(tmp_path / "a.csv", [*some_rows(40), "document number 0 about wheat,rice"])
    assert {load(path, split_seed=seed).train.class_counts()["rice"] for seed in range(8)} == {1}


def test_no_part_of_a_split_is_empty(tmp_path):
    """Seven rows that repeat two texts under both labels: what would be cut from train is put back, and nothing is left."""
    rows = ["one,b", "four,b", "seven,b", "four,b", "four,b", "one,a", "zero,b"]
    with pytest.raises(CourseError, match=r"7 documents of 2 classes are too few to cut a \w+ set from"):
        load(a_file(tmp_path / "a.csv", rows))


def test_a_bad_row_is_named_or_left_out_and_told(tmp_path):
    path = tmp_path / "a.csv"
    good = "\n".join(["text,label", *some_rows()]).encode()
    path.write_bytes(good + b"\n,grain\ncaf\xe9,metal\nno label,\n")
    with pytest.raises(CourseError, match=r"line 26 has an empty text \(3 such rows\).*skip_bad"):
        load(path)
    found = load(path, skip_bad=True)
    assert len(found) == 24
    assert (
        "line 26 has an empty text; line 27 is not UTF-8" in found.notes[0] and "line 28 has no label" in found.notes[0]
    )


def test_what_cannot_be_a_text_set_is_told_in_a_sentence(tmp_path):
    with pytest.raises(CourseError, match="two classes, but all of the 2 rows say 'a'"):
        load(a_file(tmp_path / "one.csv", ["x,a", "y,a"]))
    with pytest.raises(CourseError, match=r"contains no document: line 2 has an empty text"):
        load(a_file(tmp_path / "empty.csv", [",a", ",b"]), skip_bad=True)
    with pytest.raises(CourseError, match="contains no document"):
        load(a_file(tmp_path / "none.csv", []))
    with pytest.raises(CourseError, match=r"a class needs at least two"):
        load(a_file(tmp_path / "tiny.csv", ["x,a", "y,b"]))
    with pytest.raises(CourseError, match=r"line 3.*Is a quote not closed.*at most 1,000,000 characters"):
        load(a_file(tmp_path / "long.csv", ["x,a", "y" * 10_000_000 + ",b"]))
    (tmp_path / "long.jsonl").write_text('{"text": "' + "y" * 10_000_000 + '", "label": "a"}')
    with pytest.raises(CourseError, match=r"line 1: 10,000,0.*at most 1,000,000"):
        load(tmp_path / "long.jsonl")
    (tmp_path / "list.jsonl").write_text('["text", "label"]\n')
    with pytest.raises(CourseError, match=r"line 1 is not a JSON object \(not an object\)"):
        load(tmp_path / "list.jsonl")
    (tmp_path / "deep.jsonl").write_text('{"text": ["a"], "label": "x"}\n')
    with pytest.raises(CourseError, match="line 1 has list where a text is expected"):
        load(tmp_path / "deep.jsonl")
    (tmp_path / "labels.jsonl").write_text('{"text": "a", "label": ["x", "y"]}\n')
    with pytest.raises(CourseError, match="line 1 has list where a label is expected"):
        load(tmp_path / "labels.jsonl")
    (tmp_path / "nested.jsonl").write_text("[" * 100_000)
    with pytest.raises(CourseError, match="line 1 is not a JSON object"):
        load(tmp_path / "nested.jsonl")
    (tmp_path / "half.jsonl").write_text('{"text": "half an emoji \\ud83d", "label": "x"}\n')
    with pytest.raises(CourseError, match="line 1 is not UTF-8"):
        load(tmp_path / "half.jsonl")
    (tmp_path / "wide.csv").write_bytes("text,label\nä,b\n".encode("utf-16"))
    with pytest.raises(CourseError, match=r"wide\.csv"):
        load(tmp_path / "wide.csv")
    with pytest.raises(CourseError, match="can't be read"):
        load(tmp_path / "gone.csv")
    with pytest.raises(CourseError, match="did you mean 'reuters-r8'"):
        load("reuters-8")
    with pytest.raises(CourseError, match=TEXTS[0]):
        load("nothing")


def test_labels_have_to_fit():
    with pytest.raises(CourseError, match="2 labels need as many texts"):
        TextSet("x", ("a",), torch.tensor([0, 1]), ("p", "q"), ("1",))
    listed = TextSet("x", ["a", "b"], torch.tensor([0, 1]), ["p", "q"], ["1", "2"]).subset([1])
    assert (listed.texts, listed.classes, listed.names) == (("b",), ("p", "q"), ("2",))


def test_a_near_duplicate_begins_with_the_same_twenty_words():
    def documents(*texts):
        return TextSet("", texts, torch.zeros(len(texts)).long(), ("one",), texts)

    start = " ".join(f"word{i}" for i in range(20))
    known = documents(f"{start} and so on", "short")
    assert near_duplicates(documents(f"{start} otherwise", f"more {start}", "short"), known).tolist() == [
        True,
        False,
        True,
    ]


def test_a_quote_in_the_middle_of_a_text_costs_its_row_only(tmp_path):
    rows = [*some_rows(), '"Great" product,grain']
    path = a_file(tmp_path / "quoted.csv", rows)
    with pytest.raises(CourseError, match=r"line 26 goes on after the quote"):
        load(path)
    assert len(load(path, skip_bad=True)) == 24
    rows = [*some_rows(2), '"so" a,grain', '"so" b,grain', *some_rows(22), "no label,"]
    with pytest.raises(CourseError, match=r"line 4 goes on.*\(3 such rows"):
        load(a_file(tmp_path / "lines.csv", rows))
    told = load(tmp_path / "lines.csv", skip_bad=True).notes[0]
    assert "line 5 goes on" in told and "line 28 has no label" in told  # lines of the file, whatever came before
    rows = [*some_rows(), '"he said "yes"', 'and left for ""Rome"",grain']
    with pytest.raises(CourseError, match="Is a quote not closed"):  # nobody knows where this text ends
        load(a_file(tmp_path / "torn.csv", rows), skip_bad=True)


def test_labels_may_be_numbers_and_nought_is_one(tmp_path):
    path = tmp_path / "numbers.jsonl"
    path.write_text("\n".join(json.dumps({"text": f"text {i}", "label": i % 2}) for i in range(4)), "utf-8")
    assert {row.label for row in read_rows(path, (None, None), False, [], labelled=False)} == {"0", "1"}


def test_encodings_and_headers_that_cannot_be_meant(tmp_path):
    rows = "\n".join(["text,label", *some_rows()])
    (tmp_path / "wide.csv").write_text(rows, encoding="utf-16")
    with pytest.raises(CourseError, match="in UTF-16"):
        load(tmp_path / "wide.csv")
    (tmp_path / "latin.csv").write_text(rows.replace("text", "tëxt"), encoding="latin-1")
    with pytest.raises(CourseError, match=r"column names of latin\.csv are not UTF-8"):
        load(tmp_path / "latin.csv")
    with pytest.raises(CourseError, match="more than one column called text"):
        load(a_file(tmp_path / "twice.csv", ["a,b,c"], "text,text,label"))
    (tmp_path / "mac.csv").write_bytes(rows.replace("\n", "\r").encode())
    assert len(load(tmp_path / "mac.csv")) == 24


def test_a_row_is_counted_as_an_editor_counts_it(tmp_path):
    with pytest.raises(CourseError, match="line 5 has an empty text"):
        load(a_file(tmp_path / "gaps.csv", ["a,x", "", "", ",y"]))
    lines = ['{"text": "a"}', *(json.dumps({"text": f"b {i}", "label": "xy"[i % 2]}) for i in range(12))]
    (tmp_path / "a.jsonl").write_text("\n".join(lines))
    with pytest.raises(CourseError, match="line 1 has no label"):
        load(tmp_path / "a.jsonl")


def test_a_class_of_the_validation_rows_alone_could_not_be_learnt(tmp_path):
    a_file(tmp_path / "train.csv", some_rows())
    a_file(tmp_path / "val.csv", ["gold rose,rice"])
    a_file(tmp_path / "test.csv", ["gold rose,metal"])
    with pytest.raises(CourseError, match="rice occurs in val or test, but in no training row"):
        load(tmp_path)
    a_file(tmp_path / "val.csv", ["gold fell,metal"])
    assert "val, line 2" in load(tmp_path).names
