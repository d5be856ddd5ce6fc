"""Arms times seeds: several ways of training compared, with what is noise told apart."""
