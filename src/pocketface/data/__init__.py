"""What stands on disk: RecordIO, folders of people, verification files."""
