from pothole.training.compare import compare, rows, verdict
from pothole.training.evaluate import Evaluation
from support.datasets import write_dataset
from support.fakes import Oracle


def test_the_difference_of_two_models_is_that_on_the_same_pictures(tmp_path):
    folder = write_dataset(tmp_path, pictures=12, negatives=3)
    good = Evaluation.run(Oracle(), folder)
    shifted = Evaluation.run(Oracle(shift=8), folder)  # an overlap of 0.58
    result = compare(shifted, good)
    assert result["scenes"] == 12
    assert result["second"]["mask_ap"] == 1.0 and result["first"]["mask_ap"] < 0.25
    assert result["difference"]["mask_ap"] == round(1.0 - result["first"]["mask_ap"], 4)
    assert 0.7 < result["interval"]["mask_ap"][0] <= result["interval"]["mask_ap"][1] <= 0.9
    assert result["difference"]["froc"] == {"0.1": 0.0, "1.0": 0.0}
    words = {name: verdict(columns[-1]) for name, columns in rows(result)}
    assert words["mask AP"] == "better" and words["mask AP50"] == "unclear"
    assert "worse" in {verdict(columns[-1]) for _, columns in rows(compare(good, shifted))}


def test_without_potholes_no_difference_is_shown(tmp_path):
    evaluation = Evaluation.run(Oracle(), write_dataset(tmp_path, pictures=2, negatives=2))
    assert [verdict(columns[-1]) for _, columns in rows(compare(evaluation, evaluation))] == ["unclear"] * 4
