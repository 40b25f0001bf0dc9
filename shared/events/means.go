package events

import "strings"

// Means of collection, by their sorts: what docs/format.md lists under
// sources.json, whose Sources an export tells of and a deletion of Sources removes.
// They are the properties that Mixpanel's libraries set by themselves, and those
// that its documentation names for imports:
// https://docs.mixpanel.com/docs/data-structure/property-reference/default-properties
var means = sorts(map[string][]string{
	"library": {
		"mp_lib", "$lib_version", "mp_loader", "mp_sent_by_lib_version", "$mp_api_endpoint", "$mp_api_timestamp_ms", "mp_processing_time_ms",
		"$ios_lib_version", "$android_lib_version", "$swift_lib_version", "$flutter_lib_version", "$unity_lib_version", "$react_native_lib_version",
		"$import", "$source", "mp_source",
	},
	"platform": {
		"$os", "$os_version", "$browser", "$browser_version", "$user_agent", "$device", "$model", "$manufacturer", "$brand",
		"$screen_height", "$screen_width", "$screen_dpi", "$carrier", "$radio", "$wifi", "$bluetooth_enabled", "$bluetooth_version",
		"$has_nfc", "$has_telephone", "$google_play_services", "$watch_model",
		"$ios_device_model", "$ios_version",
		"$android_os", "$android_os_version", "$android_model", "$android_manufacturer", "$android_brand",
	},
	"app version": {
		"$app_version", "$app_version_string", "$app_release", "$app_build_number", "$app_name", "$app_namespace",
		"$ios_app_version", "$ios_app_release", "$android_app_version", "$android_app_version_code",
	},
	"referrer": {
		"$referrer", "$referring_domain", "$initial_referrer", "$initial_referring_domain",
		"$search_engine", "mp_keyword", "$search_keyword",
	},
	"campaign": {
		"dclid", "fbclid", "gclid", "ko_click_id", "li_fat_id", "msclkid", "sccid", "ttclid", "twclid", "wbraid",
	},
	// The query of a page's address names the campaign.
	"page": {"$current_url", "current_url_search"},
})

// campaignPrefixes begin the names of properties that tell of a campaign: those of
// the page's address, and what is kept of a person's first.
var campaignPrefixes = []string{"utm_", "$utm_", "initial_utm_", "$initial_utm_"}

func sorts(names map[string][]string) map[string]string {
	of := map[string]string{}
	for sort, list := range names {
		for _, name := range list {
			of[name] = sort
		}
	}
	return of
}

// meansOf is the sort of means that a property tells of, "" for any other.
func meansOf(name []byte) string {
	if sort := means[string(name)]; sort != "" {
		return sort
	}
	for _, prefix := range campaignPrefixes {
		if strings.HasPrefix(string(name), prefix) {
			return "campaign"
		}
	}
	return ""
}

// hasMeans reports whether an object tells of the means of collection.
func hasMeans(object []byte) bool {
	for m := range members(object) {
		if meansOf(m.name) != "" {
			return true
		}
	}
	return false
}

// withoutMeans is an object without the members that tell of the means of
// collection; the others stay as they are.
func withoutMeans(object []byte) []byte {
	out := append(make([]byte, 0, len(object)), '{')
	for m := range members(object) {
		if meansOf(m.name) == "" {
			out = appendMember(out, m.quoted, m.value)
		}
	}
	return append(out, '}')
}

// operationsWithoutMeans are those that set no means of collection.
func operationsWithoutMeans(all []operation) (left []operation) {
	for _, op := range all {
		if isObject(op.with) && op.verb != "$delete" {
			with := withoutMeans(op.with)
			if len(with) == len("{}") && hasMeans(op.with) {
				continue
			}
			op.with = with
		}
		left = append(left, op)
	}
	return left
}

// eventWithoutMeans is the value of an event without them.
func eventWithoutMeans(value []byte) ([]byte, error) {
	name, insertID, properties, err := readEvent(value)
	return eventValue(name, insertID, withoutMeans(properties)), err
}
