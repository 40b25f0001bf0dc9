package asl

import "time"

// contextOf returns the context object ($$) of a frame.
func (x *execution) contextOf(f *frame) func() any { return x.contextFor(f, f.retries, nil) }

// contextFor makes the context object; item is set for an ItemSelector, which is
// evaluated before there is a frame.
func (x *execution) contextFor(f *frame, retries int, item *object) func() any {
	return func() any {
		if x.given == nil {
			x.given, _ = decode(x.input) // it was checked by Start
		}
		const arn = "arn:aws:states:local:000000000000:"
		o := newObject(
			"Execution", newObject(
				"Id", arn+"execution:"+x.machine.name+":"+x.name,
				"Input", x.given,
				"StartTime", timeText(timeOf(x.head.Started)),
				"Name", x.name,
				"RoleArn", "arn:aws:iam::000000000000:role/lethe",
				"RedriveCount", number(0),
			),
			"StateMachine", newObject("Id", arn+"stateMachine:"+x.machine.name, "Name", x.machine.name),
			"State", newObject("Name", f.state.name, "EnteredTime", timeText(f.entered), "RetryCount", number(int64(retries))),
		)
		if item == nil {
			item = x.itemOf(f)
		}
		if item != nil {
			o.set("Map", newObject("Item", item))
		}
		return o
	}
}

// itemOf is the item of the innermost Map that a frame is an iteration of.
func (x *execution) itemOf(f *frame) *object {
	for ; f.parent != nil; f = f.parent {
		if p := f.parent; p.state.kind == mapping {
			if items := x.itemsOf(p); f.index < len(items) {
				return newObject("Index", number(int64(f.index)), "Value", items[f.index])
			}
		}
	}
	return nil
}

func timeText(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.000Z") }
