"""What tests of several levels share; none of them imports another test."""
