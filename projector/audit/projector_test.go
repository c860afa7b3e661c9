package audit

import (
	"testing"
)

func TestEveryRecordIsThereOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.append(1, 1000, 3, 250, 1, 1, 1)
	p, stop := w.start(w.config(w.direct))
	w.awaitAll(p)
	w.append(5, 199, 201)
	w.awaitAll(p)
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	w.requireExact()
	if got := p.Position(); got.Seq != w.seq || got.Epoch != 1 {
		t.Fatalf("position %+v, want seq %d", got, w.seq)
	}
}
