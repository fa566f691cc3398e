//! Both systems give the same answers to the same requests: otherwise a ratio would compare different work.
