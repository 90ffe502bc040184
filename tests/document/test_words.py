from edgeapp.document.words import did_you_mean, nearest


def test_a_near_miss_is_named_before_the_list() -> None:
    assert did_you_mean("rate_hx", ["device", "rate_hz"], heading="Options") == (
        "did you mean 'rate_hz'? Options: device, rate_hz"
    )


def test_without_a_near_miss_there_is_the_list() -> None:
    assert did_you_mean("zzz", ["device"], heading="Options") == "Options: device"
    assert did_you_mean("zzz", [], heading="Options") == "Options: none"


def test_case_does_not_matter() -> None:
    assert nearest("Camera", ["camera", "conveyor"]) == "camera"


def test_further_words_are_suggested_but_not_listed() -> None:
    assert did_you_mean("form", ["device"], heading="Options", also=["from"]) == (
        "did you mean 'from'? Options: device"
    )
