"""What a sync has done so far, in numbers: for the status, the metrics and the report.

Is told of ends of jobs and of what they print; keeps no time of its own.
"""

from lsyncd_lite.mirror.job import Verdict


class Tally:
    """The numbers of one sync since its daemon began."""

    def __init__(self):
        self.jobs = dict.fromkeys(Verdict, 0)  # ends by verdict; CHECK, GATE, HOOK and PROBE are none
        self.seconds = 0.0      # that these jobs have taken
        self.retries = 0        # tries of what had failed
        self.bytes = 0          # sent, as rsync counts them: on the wire
        self.files = 0          # whose content was sent
        self.lag = None         # seconds from the oldest change of the last job that has succeeded to its end
        self.progress = None    # Progress of the full sync that runs, None where there is none, or nothing was told yet
