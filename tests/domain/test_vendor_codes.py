"""Every code that the Partner Center reference names has a category and a sentence; any other is passed on."""

from __future__ import annotations

import pytest

from shared.domain.vendor_codes import Category, Explanation, explain

CODES: dict[Category, str] = {
    Category.REFUSE: """
        2000 2002 2006 2030 2032 2054 2085 2091 3000 6000 6001 1000 20000 20002 20003 60003 800002 800019 800027 800028
        800061 800063 800066 800067 800077 800088 800089 800090 800093 800095 800096 800097 800098 800107 800121 800122
        900115 900117 900118 900126 900127 900141 900213 900214 900217 900218 900219 900220 900221 900222 900223 900224
        900226 900236 900242 900244 900245 900246 900247 900248 900257 900258 900259 900260 900262 900263 900267 900268
        900269 900270 900275 900291 900292 900321 600002 600049 600050 600051""",
    Category.CONFLICT: """
        2001 2011 2055 27009 800012 800021 800036 800040 800081 800091 900215 900277 900279 900280""",
    Category.RETRY: "800003 800014 800060 800064 800082 800094 900192 900216 900225 900261 900278",
    Category.NEEDS_PERSON: """
        13605 800018 800022 800023 800024 800025 800026 800069 800073 800074 800075 900121 900311 900416 900419""",
    Category.MISCONFIGURED: """
        400 800001 800039 90000 900149 900150 900308 900309 900316 900329 900420 900421""",
}


@pytest.mark.parametrize(
    ("code", "category"), [(code, category) for category, codes in CODES.items() for code in codes.split()]
)
def test_a_known_code_has_its_category_and_a_sentence_of_ours(code: str, category: Category) -> None:
    explanation = explain(400, code, "Microsoft's own words")
    assert (explanation.known, explanation.category, explanation.code) == (True, category, code)
    assert explanation.text == "Microsoft's own words"
    assert explanation.sentence.endswith(".")
    assert "Microsoft's own words" not in explanation.sentence


@pytest.mark.parametrize(
    ("status", "code", "category"),
    [
        (400, "123456", Category.REFUSE),
        (401, "123456", Category.MISCONFIGURED),
        (403, "123456", Category.REFUSE),
        (403, "", Category.MISCONFIGURED),
        (404, "", Category.REFUSE),
        (408, "", Category.RETRY),
        (409, "123456", Category.CONFLICT),
        (412, "", Category.CONFLICT),
        (417, "", Category.CONFLICT),
        (429, "", Category.RETRY),
        (500, "123456", Category.RETRY),
    ],
)
def test_an_unknown_code_is_passed_on_word_for_word(status: int, code: str, category: Category) -> None:
    assert explain(status, code, "Neue Regel {0}.") == Explanation(
        code, category, "Neue Regel {0}.", "Neue Regel {0}.", known=False
    )


def test_a_refusal_without_any_words_still_says_something() -> None:
    assert explain(400, "123456", "").sentence == "Partner Center answered with status 400, code 123456."
    assert explain(400, "", "").sentence == "Partner Center answered with status 400."
