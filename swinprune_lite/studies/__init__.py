"""What is measured: the named profiles, and a file for every study's grid."""
