package export

import (
	"archive/zip"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"time"

	"github.com/rescindhq/rescind/schemas"
)

// itemsEach is how many events a file has.
const itemsEach = 1000

// pack writes the files of an export into one ZIP file, as they come: what is in
// memory are the events of one file.
type pack struct {
	zip   *zip.Writer
	made  time.Time
	items []Item
	files []File
}

func newPack(w io.Writer, made time.Time) *pack { return &pack{zip: zip.NewWriter(w), made: made} }

// add is called for one item after the other.
func (p *pack) add(it *Item) error {
	p.items = append(p.items, *it)
	if len(p.items) < itemsEach {
		return nil
	}
	return p.flush()
}

// flush writes the events that wait, as data and as a page.
func (p *pack) flush() error {
	if len(p.items) == 0 {
		return nil
	}
	name := fmt.Sprintf("events/%05d", len(p.files)+1)
	b, err := json.MarshalIndent(Events{Format: Schema, Events: p.items}, "", " ")
	if err != nil {
		return err
	}
	sum := sha256.Sum256(b)
	if err := p.write(name+".json", b); err != nil {
		return err
	}
	w, err := p.create(name + ".html")
	if err != nil {
		return err
	}
	if err := eventsPage(w, p.items); err != nil {
		return err
	}
	p.files = append(p.files, File{Name: name + ".json", Count: len(p.items), SHA256: hex.EncodeToString(sum[:])})
	p.items = p.items[:0]
	return nil
}

// finish writes what needs all of the events.
func (p *pack) finish(d *Document) error {
	schema, err := schemas.FS.ReadFile("export.schema.json")
	if err != nil {
		return err
	}
	b, err := json.MarshalIndent(d, "", " ")
	if err != nil {
		return err
	}
	if err := p.write("export.json", b); err != nil {
		return err
	}
	if err := p.write("export.schema.json", schema); err != nil {
		return err
	}
	w, err := p.create("index.html")
	if err != nil {
		return err
	}
	if err := indexPage(w, d); err != nil {
		return err
	}
	return p.zip.Close()
}

func (p *pack) create(name string) (io.Writer, error) {
	return p.zip.CreateHeader(&zip.FileHeader{Name: name, Method: zip.Deflate, Modified: p.made})
}

func (p *pack) write(name string, b []byte) error {
	w, err := p.create(name)
	if err == nil {
		_, err = w.Write(b)
	}
	return err
}
