"""What counts as code: the digest of a file must change with it, and with nothing else."""

import textwrap
from pathlib import Path

import pytest

from flowbench.records.closures import code_digest, strip

CODE = '''\
"""A module."""

import math


class Circle:
    """A circle.

    In many lines.
    """

    def area(self, r):
        """π r²."""
        # A comment.
        text = "# no comment"  # a comment
        return math.pi * r**2, text


async def wait():
    r"""Raw."""
'''


def edited(*pairs: tuple[str, str]) -> str:
    text = CODE
    for old, new in pairs:
        assert old in text
        text = text.replace(old, new)
    return text


@pytest.mark.parametrize(
    "pairs",
    [
        [("# A comment.", "# Another comment.")],
        [("        # A comment.\n", "")],
        [("  # a comment", "")],
        [('"""A module."""\n', "")],
        [('"""A module."""', "'''A\n\nmodule\n'''")],
        [("    In many lines.\n", "    In\n\n    # many\n\n    lines.\n")],
        [('        """π r²."""\n', "")],
        [('r"""Raw."""', 'r"""Raw \\d."""')],
        [("import math\n", "\n\nimport math   \n\n\n")],
        [("return math.pi * r**2, text", "\n\n        return math.pi * r**2, text  # the area")],
    ],
    ids=str,
)
def test_comments_docstrings_and_blank_lines_are_no_code(pairs):
    assert strip(edited(*pairs)) == strip(CODE)


@pytest.mark.parametrize(
    "pairs",
    [
        [("r**2", "r**3")],
        [("# no comment", "# still no comment")],
        [("import math", "import cmath as math")],
        [("        return", "    return")],
        [("def area", "def size")],
        [('r"""Raw."""', "pass")],
    ],
    ids=str,
)
def test_code_is_code(pairs):
    assert strip(edited(*pairs)) != strip(CODE)


def test_what_is_left():
    assert strip(CODE) == textwrap.dedent(
        """\
        import math
        class Circle:
            def area(self, r):
                text = "# no comment"
                return math.pi * r**2, text
        async def wait():
        """
    )


@pytest.mark.parametrize(
    "source",
    [
        'x = """no docstring"""\n',
        'def f(x=1):\n    return """no docstring"""\n',
        'x = 1\n"""a string after code"""\n',
        'class A:\n    x = 1\n    """a string after code"""\n',
        'if True:\n    """a string in a block"""\n',
        'f(\n    """an argument""",\n)\n',
        'def f(): """on the line of code"""\n',
        'def f():\n    """with code beside it"""; return 1\n',
        'x = f"""{y}\nno docstring"""\n',
    ],
    ids=repr,
)
def test_strings_that_are_no_docstrings_stay(source):
    assert strip(source) == source


@pytest.mark.parametrize(
    "literal", ['"""a\n\nb"""', '"""a  \nb"""', 'f"""a\n\n{x}"""', 'f"""{x}\n  \n# b"""', "'''a\n'''"], ids=repr
)
def test_space_within_a_string_is_code(literal):
    source = f"def f():\n    return {literal}\n"
    assert strip(source) == source
    assert strip(f'def f():\n    """Doc.\n\n    More.\n    """\n\n    return {literal}  # comment\n') == source


def test_digest_is_of_what_is_left(tmp_path: Path):
    one, other = tmp_path / "one.py", tmp_path / "other.py"
    one.write_text(CODE, encoding="utf-8")
    other.write_text(edited(("# A comment.", "# Another.")), encoding="utf-8")
    assert code_digest(one) == code_digest(other)
    other.write_text(edited(("r**2", "r**3")), encoding="utf-8")
    assert code_digest(one) != code_digest(other)
