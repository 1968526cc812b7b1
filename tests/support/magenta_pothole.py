"""`pothole` with a detector that sees magenta."""

from fakes import MagentaDetector

from pothole.entrypoints.cli import common, main

common.load_model = lambda folder: MagentaDetector()  # type: ignore[assignment,return-value]

if __name__ == "__main__":
    main.main()
