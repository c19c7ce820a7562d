"""What a terminal shows of what is written to it, for the tests of `status -watch`."""

import re


class Terminal:
    """A VT100 of a few sequences; an unknown one is an error."""

    def __init__(self, rows, columns):
        self.rows, self.columns, self.states = rows, columns, {"1049": False, "25": True, "7": True}
        self.wipe()
        self.rest, self.traffic = "", 0

    def wipe(self):
        self.cells, self.at = [[" "] * self.columns for _ in range(self.rows)], (0, 0)

    def feed(self, text):
        self.traffic += len(text)
        self.rest += text
        while self.rest:
            match = re.match("\x1b\\[(\\??)([0-9;]*)([A-Za-z])", self.rest)
            if match:
                self.rest = self.rest[match.end():]
                self.obey(*match.groups())
            elif self.rest[0] == "\x1b":
                assert len(self.rest) < 20, ascii(self.rest)
                return
            else:
                char, self.rest = self.rest[0], self.rest[1:]
                row, column = self.at
                if char == "\r":
                    self.at = row, 0
                elif char == "\n":
                    self.at = min(row + 1, self.rows - 1), column
                else:
                    assert column < self.columns, "wider than the terminal"
                    self.cells[row][column] = char
                    self.at = row, column + 1

    def obey(self, private, numbers, letter):
        if private:
            assert numbers in self.states and letter in "hl"
            self.states[numbers] = letter == "h"
        elif letter == "H":
            row, column = map(int, (numbers or "1;1").split(";"))
            self.at = min(row, self.rows) - 1, column - 1
        elif letter == "J" and numbers == "2":
            self.cells = [[" "] * self.columns for _ in range(self.rows)]
        elif letter == "K" and not numbers:
            self.cells[self.at[0]][self.at[1]:] = [" "] * (self.columns - self.at[1])
        else:
            assert letter == "m", (numbers, letter)

    def lines(self):
        return ["".join(cells).rstrip() for cells in self.cells]
