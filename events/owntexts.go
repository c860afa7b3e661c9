package events

import "strings"

// ownTexts is the texts of one event that hardly any other has. They become
// parts of one string, so that an event is one allocation and not one for each;
// an event holds no more in memory than that.
type ownTexts struct {
	to   [8]*string
	text [8][]byte
	n    int
}

// keep has give set to to text, which must not change until then.
func (o *ownTexts) keep(to *string, text []byte) {
	if o.n == len(o.to) { // of an event that has one twice, and is refused
		*to = string(text)
		return
	}
	o.to[o.n], o.text[o.n] = to, text
	o.n++
}

// give makes the texts that were kept, and is ready for those of another event.
func (o *ownTexts) give() {
	size := 0
	for _, text := range o.text[:o.n] {
		size += len(text)
	}
	var all strings.Builder
	all.Grow(size)
	for _, text := range o.text[:o.n] {
		all.Write(text)
	}
	left := all.String()
	for i, text := range o.text[:o.n] {
		*o.to[i], left = left[:len(text)], left[len(text):]
	}
	o.n = 0
}
