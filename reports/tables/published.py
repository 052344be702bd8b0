"""The published tables as a document."""
from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import pandas as pd

from reports.published import COLUMNS
from reports.tables.layout import Tables


@dataclass(frozen=True)
class Published(Tables):
    """Published tables, whose CSV is that of the files they come from."""

    frame: pd.DataFrame = field(default_factory=pd.DataFrame)

    def records(self) -> Iterator[Mapping[str, Any]]:
        for row in self.frame[list(COLUMNS)].to_dict('records'):
            yield {**{str(name): value for name, value in row.items()}, 'value': f'{row["value"]:.2f}',
                   'dagger': str(row['dagger']).lower()}
