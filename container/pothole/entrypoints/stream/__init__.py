"""Pictures come from live streams of Kinesis Video, and what they show goes to a stream of Kinesis Data."""
