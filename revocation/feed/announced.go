package feed

import "github.com/rescindhq/rescind/revocation"

// announcedBuffer is how many announcements may wait while the feed catches up.
// What does not fit is not missed: the chain brings it.
const announcedBuffer = 256

// hear has what is announced refused from now on, and is nothing else: not a
// sign of life, not a step of the position. One that is not ours, or of another
// history, changes nothing, since there is nothing that it could have shown to
// be missing.
func (f *Feed) hear(data []byte) {
	a, err := revocation.OpenAnnouncement(f.cfg.PublicKey, data)
	if err != nil {
		f.cfg.Log.Warn("an announcement is not ours", "err", err)
		return
	}
	v := f.view.Load()
	f.apply(v, a.Beyond(&v.head), &a.Head)
}
