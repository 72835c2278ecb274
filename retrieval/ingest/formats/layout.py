"""Words with places on a page to lines, tables and paragraphs: what the eye sees, and the file does not say."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

#: Points: how thin a drawn line is, how far two lines of one grid may lie apart, and what a cell measures at least.
THIN, NEAR, LEAST_CELL = 2.5, 3.0, 5.0
#: A gap of so many letter heights between two words separates two cells.
CELL_GAP = 1.4
#: Lines that make a table without rules, and the share of them whose cells must stand below each other.
LEAST_ROWS, ALIGNED = 3, 0.6
#: Words of one cell beyond which a grid is no table but a frame around text, and cells of one grid.
MOST_CELL_WORDS, MOST_CELLS = 80, 20_000
#: A line this many line heights below the one before begins a paragraph.
APART = 1.6


@dataclass(frozen=True, slots=True)
class Word:
    """A word and its box in points, from the lower left corner of the page."""

    text: str
    left: float
    bottom: float
    right: float
    top: float
    size: float

    @property
    def middle(self) -> tuple[float, float]:
        return (self.left + self.right) / 2, (self.bottom + self.top) / 2


@dataclass(slots=True)
class Line:
    """Words that follow each other. `is_apart`: more space than usual lies above."""

    words: list[Word] = field(repr=False)
    is_apart: bool = False

    @property
    def text(self) -> str:
        return " ".join(word.text for word in self.words)

    @property
    def letters(self) -> int:
        return sum(len(word.text) for word in self.words)

    @property
    def size(self) -> float:
        """The size of most of its words, in half points."""
        sizes = sorted(word.size for word in self.words)
        return round(sizes[len(sizes) // 2] * 2) / 2

    @property
    def top(self) -> float:
        return max(word.top for word in self.words)

    @property
    def bottom(self) -> float:
        return min(word.bottom for word in self.words)


@dataclass(frozen=True, slots=True)
class Rule:
    """A straight line, or a box, that is drawn on the page; points."""

    left: float
    bottom: float
    right: float
    top: float

    @property
    def width(self) -> float:
        return self.right - self.left

    @property
    def height(self) -> float:
        return self.top - self.bottom

    @property
    def is_flat(self) -> bool:
        return self.height <= THIN < self.width

    @property
    def is_upright(self) -> bool:
        return self.width <= THIN < self.height

    def edges(self, width: float, height: float) -> list[Rule]:
        """The lines of which it consists: itself, or the four sides of a box that is not the page."""
        if self.is_flat or self.is_upright:
            return [self]
        if self.width < LEAST_CELL or self.height < LEAST_CELL:
            return []
        if self.width > 0.95 * width and self.height > 0.8 * height:
            return []
        left, bottom, right, top = self.left, self.bottom, self.right, self.top
        return [
            Rule(left, bottom, right, bottom),
            Rule(left, top, right, top),
            Rule(left, bottom, left, top),
            Rule(right, bottom, right, top),
        ]


@dataclass(frozen=True, slots=True)
class Tabular:
    """The cells of a table, row by row."""

    rows: list[list[str]]


@dataclass(frozen=True, slots=True)
class _Grid:
    """Where a table's columns and rows are separated; `ys` rise, so the last row of cells is the highest."""

    xs: list[float]
    ys: list[float]

    def place(self, word: Word) -> tuple[int, int] | None:
        """Row (from the lowest) and column in which a word stands."""
        x, y = word.middle
        if not (self.xs[0] <= x <= self.xs[-1] and self.ys[0] <= y <= self.ys[-1]):
            return None
        column = min(bisect_right(self.xs, x), len(self.xs) - 1) - 1
        return min(bisect_right(self.ys, y), len(self.ys) - 1) - 1, max(column, 0)


def blocks(lines: Sequence[Line], rules: Sequence[Rule]) -> Iterator[Line | Tabular]:
    """Lines and tables in reading order: first those that are ruled, then those that show by their columns."""
    grids = [grid for grid in _grids(rules) if _is_table(grid, lines)]
    waiting: list[Line] = []
    written: set[int] = set()
    for line in lines:
        number = _grid_of(line, grids)
        if number is None:
            waiting.append(line)
            continue
        if number not in written:
            yield from _open_tables(waiting)
            waiting = []
            written.add(number)
            yield Tabular(_cells(grids[number], [word for other in lines for word in other.words]))
        rest = [word for word in line.words if grids[number].place(word) is None]
        if rest:
            waiting.append(Line(rest))
    yield from _open_tables(waiting)


def _grid_of(line: Line, grids: list[_Grid]) -> int | None:
    """The grid in which most of a line's words stand."""
    for number, grid in enumerate(grids):
        inside = sum(1 for word in line.words if grid.place(word) is not None)
        if inside * 2 > len(line.words):
            return number
    return None


def _grids(rules: Sequence[Rule]) -> Iterator[_Grid]:
    """Groups of rules that cross or touch, with at least two columns and two rows."""
    flat = [rule for rule in rules if rule.height <= THIN and rule.width > LEAST_CELL]
    upright = [rule for rule in rules if rule.width <= THIN and rule.height > LEAST_CELL]
    for group in _touching(flat, upright):
        xs = _merged([rule.left for rule in group if rule.width <= THIN])
        ys = _merged([rule.bottom for rule in group if rule.height <= THIN])
        if len(xs) >= 3 and len(ys) >= 3 and len(xs) * len(ys) <= MOST_CELLS:
            yield _Grid(xs, ys)


def _touching(flat: list[Rule], upright: list[Rule]) -> list[list[Rule]]:
    """Rules that hang together, found by following one to the next."""
    all_rules = [*flat, *upright]
    owner = list(range(len(all_rules)))

    def root(index: int) -> int:
        while owner[index] != index:
            owner[index] = owner[owner[index]]
            index = owner[index]
        return index

    for one, level in enumerate(flat):
        for other, post in enumerate(upright, start=len(flat)):
            if (
                level.left - NEAR <= post.left <= level.right + NEAR
                and post.bottom - NEAR <= level.bottom <= post.top + NEAR
            ):
                owner[root(one)] = root(other)
    found: dict[int, list[Rule]] = {}
    for index, rule in enumerate(all_rules):
        found.setdefault(root(index), []).append(rule)
    return list(found.values())


def _merged(places: list[float]) -> list[float]:
    """Places in rising order, those that lie near each other as one."""
    found: list[float] = []
    for place in sorted(places):
        if not found or place - found[-1] > NEAR:
            found.append(place)
    return found


def _is_table(grid: _Grid, lines: Sequence[Line]) -> bool:
    """Whether the grid's cells hold table entries: in at least two columns, and none a whole text."""
    counts: dict[tuple[int, int], int] = {}
    for line in lines:
        for word in line.words:
            place = grid.place(word)
            if place is not None:
                counts[place] = counts.get(place, 0) + 1
    columns = {column for _, column in counts}
    rows = {row for row, _ in counts}
    return len(columns) >= 2 and len(rows) >= 2 and max(counts.values()) <= MOST_CELL_WORDS * 2


def _cells(grid: _Grid, words: list[Word]) -> list[list[str]]:
    """The grid's rows from top to bottom. Rows between two rules that hold several lines are told apart by them, where
    each line begins in the first column.
    """
    placed: dict[int, list[tuple[int, Word]]] = {}
    for word in words:
        place = grid.place(word)
        if place is not None:
            placed.setdefault(place[0], []).append((place[1], word))
    columns = len(grid.xs) - 1
    return [
        row
        for number in sorted(placed, reverse=True)
        for part in _lines_of(placed[number])
        for row in [_row(part, columns)]
        if any(row)
    ]


def _lines_of(cells: list[tuple[int, Word]]) -> list[list[tuple[int, Word]]]:
    """One row, or several where every line of the row has its own first cell."""
    ordered = sorted(cells, key=lambda cell: -cell[1].middle[1])
    parts: list[list[tuple[int, Word]]] = []
    for cell in ordered:
        if parts and parts[-1][0][1].middle[1] - cell[1].middle[1] < max(cell[1].size, 4) * 0.6:
            parts[-1].append(cell)
        else:
            parts.append([cell])
    first = min(column for column, _ in cells)
    headed = sum(1 for part in parts if any(column == first for column, _ in part) and len({c for c, _ in part}) > 1)
    return parts if len(parts) > 3 and headed >= 0.8 * len(parts) else [cells]


def _row(cells: list[tuple[int, Word]], columns: int) -> list[str]:
    said: list[list[Word]] = [[] for _ in range(columns)]
    for column, word in cells:
        said[column].append(word)
    return [" ".join(word.text for word in words) for words in said]


def _open_tables(lines: list[Line]) -> Iterator[Line | Tabular]:
    """Lines, and tables without rules: several lines that fall into cells below each other."""
    run: list[list[Word]] = []
    held: list[Line] = []
    before: Line | None = None
    for line in lines:
        line.is_apart = before is not None and _is_apart(before, line)
        before = line
        cells = _split(line)
        if len(cells) >= 2:
            run.append([_joined(cell) for cell in cells])
            held.append(line)
            continue
        yield from _ended(run, held)
        run, held = [], []
        yield line
    yield from _ended(run, held)


def _ended(run: list[list[Word]], held: list[Line]) -> Iterator[Line | Tabular]:
    if len(run) >= LEAST_ROWS and _is_aligned(run) and not _is_prose(run):
        yield Tabular(_columns(run))
    else:
        yield from held


def _is_apart(before: Line, line: Line) -> bool:
    height = max(line.size, before.size, 4.0)
    distance = before.bottom - line.bottom
    return distance > APART * height or distance < -height


def _split(line: Line) -> list[list[Word]]:
    """A line's words in groups between which wide gaps lie."""
    groups: list[list[Word]] = [[]]
    for word in line.words:
        last = groups[-1][-1] if groups[-1] else None
        height = max(line.size, 4.0)
        if last is not None and (word.left - last.right > CELL_GAP * height or word.right < last.left - height):
            groups.append([])
        groups[-1].append(word)
    return groups


def _joined(words: list[Word]) -> Word:
    return Word(
        " ".join(word.text for word in words),
        min(word.left for word in words),
        min(word.bottom for word in words),
        max(word.right for word in words),
        max(word.top for word in words),
        words[0].size,
    )


def _is_aligned(run: list[list[Word]]) -> bool:
    """Whether most cells stand above or below a cell of the line before."""
    beneath = total = 0
    for above, row in pairwise(run):
        for cell in row:
            total += 1
            beneath += any(cell.left < other.right and other.left < cell.right for other in above)
    return beneath >= ALIGNED * total


def _is_prose(run: list[list[Word]]) -> bool:
    """Two columns of running text side by side are no table."""
    long = sum(1 for row in run for cell in row if len(cell.text) > 30)
    return long * 2 > sum(map(len, run))


def _columns(run: list[list[Word]]) -> list[list[str]]:
    """The cells under the columns that they share."""
    edges = _column_spans([cell for row in run for cell in row])
    rows = []
    for row in run:
        said = [""] * len(edges)
        for cell in row:
            place = max(range(len(edges)), key=lambda at: _shared(cell, edges[at]))
            said[place] = f"{said[place]} {cell.text}".strip()
        rows.append(said)
    return rows


def _shared(cell: Word, span: tuple[float, float]) -> float:
    return min(cell.right, span[1]) - max(cell.left, span[0])


def _column_spans(cells: list[Word]) -> list[tuple[float, float]]:
    """Where columns lie: the narrow half of the cells shows it, for titles span several."""
    widths = sorted(cell.right - cell.left for cell in cells)
    limit = widths[int(len(widths) * 0.8)] if widths else 0.0
    spans: list[tuple[float, float]] = []
    for cell in sorted((cell for cell in cells if cell.right - cell.left <= limit), key=lambda cell: cell.left):
        if spans and cell.left < spans[-1][1]:
            spans[-1] = (spans[-1][0], max(spans[-1][1], cell.right))
        else:
            spans.append((cell.left, cell.right))
    return spans
