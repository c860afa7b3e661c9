package feed

import (
	"context"
	"slices"
	"time"

	"github.com/rescindhq/rescind/events"
	"github.com/rescindhq/rescind/revocation"
)

const (
	keysWait  = time.Second      // for an answer
	keysRetry = 2 * time.Second  // after none
	keysAgain = 10 * time.Second // after an answer that lacked a key
)

// complete reports whether the set has every key that is to be had, and asks
// for those it lacks. Until it was answered the position stands still; a
// tenant whose keys are lacking is unknown all the while.
func (f *Feed) complete(ctx context.Context, set *revocation.Set) bool {
	missing := set.Missing()
	if len(missing) == 0 {
		return true
	}
	now := f.cfg.Now()
	if now.Before(f.askAt) && slices.Equal(missing, f.asked) {
		return true // answered, and not to be had
	}
	if now.Before(f.askAt) && f.asked == nil {
		return false // not answered
	}
	f.asked = nil
	if err := f.fetchKeys(ctx, set); err != nil {
		f.askAt = f.cfg.Now().Add(keysRetry)
		f.cfg.Log.Warn("feed keys not fetched", "count", len(missing), "err", err)
		return false
	}
	f.askAt = time.Time{}
	if f.asked = set.Missing(); len(f.asked) > 0 {
		f.askAt = f.cfg.Now().Add(keysAgain)
		f.cfg.Log.Warn("feed keys are not to be had", "count", len(f.asked))
	}
	return true
}

// savedPage is one answer as it was signed.
type savedPage struct {
	Body      []byte `json:"body"`
	Signature []byte `json:"signature"`
}

// fetchKeys replaces the keys of set by all there are now.
func (f *Feed) fetchKeys(ctx context.Context, set *revocation.Set) error {
	var keys []events.FeedKey
	var pages []savedPage
	for request, more := (revocation.KeysRequest{}), true; more; {
		page, saved, err := f.keysPage(ctx, request)
		if err != nil {
			return err
		}
		keys, pages = append(keys, page.Keys...), append(pages, saved)
		if more = page.More; more {
			request = page.Next()
		}
	}
	f.keys = keys
	set.SetKeys(keys)
	f.listeners.tell(nil)
	f.saveKeys(pages)
	return nil
}

func (f *Feed) keysPage(ctx context.Context, request revocation.KeysRequest) (*revocation.KeysReply, savedPage, error) {
	page, body, signature, err := NewStored(f.cfg.Conn, f.cfg.PublicKey).Keys(ctx, request)
	return page, savedPage{Body: body, Signature: signature}, err
}
