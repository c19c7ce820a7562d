"""The two ways the program refuses to go on.

ConfigError: what the user wrote is wrong; every finding is one line.
Fatal: the surroundings do not allow to start or to go on; one line.
"""


class ConfigError(Exception):
    """What is wrong in a configuration or on the command line.

    `lines` (list of str) holds one finding each, as `FILE:LINE: KEY: what is wrong`.
    """

    def __init__(self, lines):
        super().__init__("\n".join(lines))
        self.lines = list(lines)


class Fatal(Exception):
    """One line "cannot DO WHAT: reason"; the program ends with exit status 255."""
