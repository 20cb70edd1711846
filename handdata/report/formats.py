"""The same tables as Markdown, LaTeX and tidy CSV. Text in, text out."""

from collections.abc import Iterable, Sequence

import pandas as pd

from handdata.report.tables import Table

_LATEX = {"\\": r"\textbackslash{}", "&": r"\&", "%": r"\%", "$": r"\$", "#": r"\#", "_": r"\_", "{": r"\{", "}": r"\}",
          "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "–": "--", "†": r"\dag{}", "<": r"\textless{}",
          ">": r"\textgreater{}", "α": r"$\alpha$"}  # fmt: skip


def to_markdown(title: str, lead: Iterable[str], tables: Iterable[Table]) -> str:
    """Return a Markdown document: a heading, paragraphs, and the tables with their notes."""
    parts = [f"# {title}", *lead]
    for table in tables:
        head = "| " + " | ".join(_pipe(text) for text in table.header) + " |"
        rule = "|" + "|".join("---" if place < table.stubs else "---:" for place in range(len(table.header))) + "|"
        rows = ["| " + " | ".join(_pipe(text) for text in row) + " |" for row in table.rows]
        parts += [f"## {_heading(table)}", "\n".join([head, rule, *rows])]
        parts += ["\n".join(f"- {note}" for note in table.notes)] if table.notes else []
    return "\n\n".join(parts) + "\n"


def to_latex(tables: Iterable[Table]) -> str:
    r"""Return LaTeX tables for \input; they need the package booktabs, and graphicx for wide ones."""
    parts = ["% handdata report: \\usepackage{booktabs,graphicx}"]
    for table in tables:
        columns = "l" * table.stubs + "r" * (len(table.header) - table.stubs)
        lines = [r"\begin{table}", rf"\caption{{{_tex(_heading(table))}}}", r"\resizebox{\linewidth}{!}{%",
                 rf"\begin{{tabular}}{{{columns}}}", r"\toprule", _row(table.header), r"\midrule",
                 *(_row(row) for row in table.rows), r"\bottomrule", r"\end{tabular}}"]  # fmt: skip
        lines += [rf"\par\footnotesize {_tex(note)}" for note in table.notes]
        parts.append("\n".join([*lines, r"\end{table}"]))
    return "\n\n".join(parts) + "\n"


def to_tidy_csv(rows: Iterable[Sequence[str]]) -> str:
    """Return a row of column names and rows of text as CSV with LF line ends."""
    header, *cells = rows
    return pd.DataFrame(cells, columns=list(header)).to_csv(index=False, lineterminator="\n")


def _heading(table: Table) -> str:
    return f"Table {table.key}. {table.title}" if table.key[:1].isdigit() else table.title


def _row(texts: Sequence[str]) -> str:
    return " & ".join(_tex(text) for text in texts) + r" \\"


def _tex(text: str) -> str:
    return "".join(_LATEX.get(character, character) for character in text)


def _pipe(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ") or " "
