"""Made-up pictures of digits or coloured shapes, with all that is true of them: `make_scenes` in `make`.

How a thing is drawn is in `things`, where things lie in `layout`, pixels in `picture`, sentences in `words` and
`questions`.
"""
