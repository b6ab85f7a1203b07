"""The little of a data frame that the package relies on: `columns`, `[column]`, `to_numpy()` and `len`."""

import numpy as np


class NAType:
    """What pandas calls the type of its missing value, which is neither equal nor unequal to anything."""

    def __bool__(self):
        raise TypeError("boolean value of NA is ambiguous")


class Column:
    def __init__(self, values):
        self._values = np.asarray(values)

    def to_numpy(self):
        return self._values


class Frame:
    def __init__(self, **columns):
        self.columns = list(columns)
        self._columns = {name: Column(values) for name, values in columns.items()}

    def __getitem__(self, name):
        return self._columns[name]

    def __len__(self):
        return max((len(column.to_numpy()) for column in self._columns.values()), default=0)

    def to_numpy(self):
        raise AssertionError("column by column, so that a message can name one")
