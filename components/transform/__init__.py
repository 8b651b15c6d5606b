"""Transform: TFX's, without the records that a newer span has labelled again."""
