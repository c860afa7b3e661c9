package events

// For the tests of package events_test, which may import what imports events.
var (
	DrawEvent     = drawEvent
	EquateNumbers = equateNumbers
	CheckDecoded  = checkDecoded
)
