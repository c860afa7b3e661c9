package stream

// Waiting is how many messages of each lane Next would find.
func (i *Intake) Waiting() (control, access int) {
	return i.control.len(), i.access.len()
}

func (b *buffer[T]) len() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return len(b.items)
}
