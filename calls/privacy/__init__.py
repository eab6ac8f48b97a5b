"""Personal data in what people say and in what was written of it. Pure: text in, text out."""
