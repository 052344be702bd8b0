"""The published tables as a document."""
from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pandas as pd

from reports.published import COLUMNS
from reports.tables.layout import Tables


@dataclass(frozen=True)
class Published(Tables):
    """Published tables, whose CSV is that of the files they come from.

    ``columns`` of the ``frame`` are those of its file; a column ``digits`` beside them says how ``value`` is printed.
    """

    frame: pd.DataFrame = field(default_factory=pd.DataFrame)
    columns: Sequence[str] = COLUMNS

    def records(self) -> Iterator[Mapping[str, Any]]:
        for row in self.frame.to_dict('records'):
            yield {**{name: row[name] for name in self.columns}, 'value': f'{row["value"]:.{row.get("digits", 2)}f}',
                   'dagger': str(row['dagger']).lower()}
