import re
from dataclasses import replace

import numpy as np
import pytest

from pothole.errors import PotholeError, RequestError
from pothole.training import evaluation_page
from pothole.training.evaluate import Evaluation
from pothole.training.evaluation_page import check_page, write_page
from support.datasets import write_dataset
from support.fakes import Oracle


@pytest.fixture
def evaluation(tmp_path):
    return Evaluation.run(Oracle(score_of_false=0.6), write_dataset(tmp_path / "data"))


def captions(text, part):
    section = re.search(rf'<section id="{part}">.*?</section>', text, re.DOTALL)
    return re.findall(r"<figcaption><b>(.*?)</b><br>(.*?)[<\n]", section[0])


def scored(evaluation, scores):
    """The evaluation with other scores, by picture."""
    found = tuple(
        (i, replace(d, scores=np.array([scores.get(i, s) for s in d.scores], np.float32)))
        for i, d in evaluation.found
    )
    return replace(evaluation, found=found)


def test_pictures_are_sorted_and_say_score_overlap_and_file(evaluation, tmp_path):
    evaluation = scored(evaluation, {100: 0.7, 103: 0.95, 104: 0.2, 105: 0.1})
    evaluation.annotations["annotations"][-1]["area"] = 700  # of picture 105
    write_page(tmp_path / "page.html", evaluation, evaluation.figures())
    text = (tmp_path / "page.html").read_text()
    assert captions(text, "true") == [
        ("score 0.95, IoU 1.00", "3.png"),
        ("score 0.90, IoU 1.00", "2.png"),
    ]
    assert captions(text, "missed") == [
        ("score 0.10 is too low, IoU 1.00, 700 px²", "5.png"),
        ("score 0.20 is too low, IoU 1.00, 600 px²", "4.png"),
    ]
    assert captions(text, "false") == [
        ("score 0.70, best IoU 0.00", "0.png"),
        ("score 0.60, best IoU 0.00", "1.png"),
    ]
    assert not re.search(r'(src|href)="(?!data:|#)|url\(|@import', text)  # it needs no network
    assert "0.50 operating point" in text and "These pictures" in text


def test_a_page_holds_so_many_pictures_and_says_that_there_are_more(evaluation, tmp_path, monkeypatch):
    monkeypatch.setattr(evaluation_page, "MAX_CARDS", 2)
    write_page(tmp_path / "page.html", evaluation, evaluation.figures())
    text = (tmp_path / "page.html").read_text()
    assert "True: potholes found: 4" in text and "the first 2 are shown" in text
    assert len(captions(text, "true")) == 2


def test_pictures_are_no_wider_than_a_page_needs(tmp_path):
    evaluation = Evaluation.run(Oracle(), write_dataset(tmp_path / "data", size=(900, 1600)))
    huge = [
        {**a, "segmentation": [[0, 0, 1600, 0, 1600, 900, 0, 900]]}
        for a in evaluation.annotations["annotations"]
    ]
    evaluation = replace(evaluation, annotations={**evaluation.annotations, "annotations": huge})
    write_page(tmp_path / "page.html", evaluation, evaluation.figures())
    text = (tmp_path / "page.html").read_text()
    sizes = {(int(w), int(h)) for w, h in re.findall(r'<img [^>]*width="(\d+)" height="(\d+)"', text)}
    assert max(sizes) == (480, 270)


def test_a_set_without_potholes_or_marks_has_a_page(evaluation, tmp_path):
    nothing = replace(evaluation, found=tuple((i, d[[]]) for i, d in evaluation.found))
    nothing = replace(nothing, annotations={**nothing.annotations, "annotations": []})
    write_page(tmp_path / "page.html", nothing, nothing.figures())
    assert "missed: 0" in (tmp_path / "page.html").read_text()


def test_a_page_that_fails_leaves_the_one_before(evaluation, tmp_path):
    page = tmp_path / "page.html"
    page.write_text("before")
    evaluation.samples[2].path.unlink()
    with pytest.raises(PotholeError):
        write_page(page, evaluation, evaluation.figures())
    assert page.read_text() == "before" and {p.name for p in tmp_path.iterdir()} == {"data", "page.html"}


def test_a_folder_is_no_page(tmp_path):
    with pytest.raises(RequestError, match="is not a file"):
        check_page(tmp_path)
    check_page(tmp_path / "new.html")
