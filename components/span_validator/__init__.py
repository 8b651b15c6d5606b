"""SpanValidator: labels that the last blessed model cannot make sense of do not train."""
