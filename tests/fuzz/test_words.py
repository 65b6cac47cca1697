"""Any words on the command line."""

from __future__ import annotations

from fuzzing import assert_harmless, fuzz, larobust
from hypothesis import given
from hypothesis import strategies as st

_FLAGS = st.sampled_from(["--ckpt", "--noise", "--severity", "--data", "--arch", "--activation", "--limit", "--alpha"])
_VALUES = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=30).filter(
    lambda text: text not in ("-h", "--help")
)


@fuzz()
@given(command=st.sampled_from(["eval", "fluctuation", "compare", "check", "list"]), flag=_FLAGS, value=_VALUES)
def test_any_value_of_a_flag_is_harmless(command: str, flag: str, value: str) -> None:
    assert_harmless(larobust(command, flag, value))
