"""The whole of Rowferry on one machine: database, emulated AWS, our own template, API."""
