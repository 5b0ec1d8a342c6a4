//! What is promised to the user but not yet certified.
