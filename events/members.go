package events

// member is one text of an event, with its name and its limit in bytes.
type member struct {
	name  string
	limit int
	text  *string
}

// texts is every member of d that is a plain string.
func (d *Data) texts() [17]member {
	return [...]member{
		{"data.tenant", MaxTextBytes, &d.Tenant}, {"data.iss", MaxTextBytes, &d.Issuer}, {"data.sub", MaxTextBytes, &d.Subject},
		{"data.jti", MaxTextBytes, &d.TokenID}, {"data.sid", MaxTextBytes, &d.SessionID}, {"data.client_id", MaxTextBytes, &d.ClientID},
		{"data.grant_id", MaxTextBytes, &d.GrantID}, {"data.scope", MaxNoteBytes, &d.Scope}, {"data.kid", MaxTextBytes, &d.KeyID},
		{"data.alg", MaxTextBytes, &d.Algorithm}, {"data.actor", MaxTextBytes, &d.Actor}, {"data.outcome", MaxTextBytes, &d.Outcome},
		{"data.reason", MaxTextBytes, &d.Reason}, {"data.ticket", MaxTextBytes, &d.Ticket}, {noteMember, MaxNoteBytes, &d.Note},
		{"data.ip", MaxTextBytes, &d.IP}, {"data.user_agent", MaxNoteBytes, &d.UserAgent},
	}
}

// noteMember is the one text that may have lines.
const noteMember = "data.note"

// attributes is what is said of ev outside its data.
func (ev *Event) attributes() [4]member {
	return [...]member{
		{"id", MaxTextBytes, &ev.ID}, {"source", MaxTextBytes, &ev.Source},
		{"type", MaxTextBytes, (*string)(&ev.Type)}, {"rescindenv", MaxTextBytes, &ev.Environment},
	}
}
