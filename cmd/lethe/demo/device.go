package demo

// A device is what one library on one browser or phone says about itself in
// every event, under the names that the official libraries use.
type device struct {
	id         string
	properties map[string]any
}

// anonymous is the distinct_id that libraries use before someone signs in.
func (d device) anonymous() string { return "$device:" + d.id }

// as is what the device adds to an event: who it is, and who is signed in, if
// anyone. Both together tie the two ids.
func (d device) as(user string) map[string]any {
	who := map[string]any{"$device_id": d.id}
	if user != "" {
		who["$user_id"] = user
	}
	return who
}

type place struct{ country, region, city string }

// device makes a browser, an iPhone or an Android phone.
func (m *maker) device() device {
	d := device{id: m.uuid()}
	where := pick(m, []place{
		{"DE", "Berlin", "Berlin"}, {"DE", "Bavaria", "Munich"}, {"FR", "Île-de-France", "Paris"},
		{"NL", "North Holland", "Amsterdam"}, {"US", "California", "San Francisco"},
		{"US", "New York", "New York"}, {"GB", "England", "London"}, {"PL", "Mazovia", "Warsaw"},
	})
	switch kind := m.rand.IntN(10); {
	case kind < 6:
		d.properties = m.browser()
	case kind < 8:
		d.properties = map[string]any{
			"mp_lib": "swift", "$lib_version": "4.3.0", "$os": "iOS", "$os_version": pick(m, []string{"17.5.1", "18.1", "18.2"}),
			"$manufacturer": "Apple", "$model": pick(m, []string{"iPhone14,5", "iPhone15,2", "iPhone16,1"}),
			"$app_version_string": pick(m, []string{"2.8.0", "2.9.1", "3.0.0"}), "$app_build_number": pick(m, []string{"412", "431", "460"}),
			"$screen_width": 390, "$screen_height": 844, "$wifi": m.chance(70), "$radio": "LTE",
		}
	default:
		d.properties = map[string]any{
			"mp_lib": "android", "$lib_version": "7.5.2", "$os": "Android", "$os_version": pick(m, []string{"13", "14", "15"}),
			"$manufacturer": pick(m, []string{"Google", "samsung", "Fairphone"}), "$model": pick(m, []string{"Pixel 8", "SM-S911B", "FP5"}),
			"$app_version_string": pick(m, []string{"2.8.0", "2.9.1", "3.0.0"}), "$app_build_number": pick(m, []string{"20412", "20431", "20460"}),
			"$screen_width": 1080, "$screen_height": 2400, "$screen_dpi": 420, "$has_nfc": true, "$wifi": m.chance(60),
		}
	}
	d.properties["mp_country_code"] = where.country
	d.properties["$region"] = where.region
	d.properties["$city"] = where.city
	return d
}

func (m *maker) browser() map[string]any {
	type software struct {
		browser string
		version int
		os      string
	}
	with := pick(m, []software{
		{"Chrome", 131, "Windows"}, {"Chrome", 130, "Mac OS X"}, {"Firefox", 133, "Linux"},
		{"Firefox", 132, "Windows"}, {"Safari", 18, "Mac OS X"}, {"Microsoft Edge", 131, "Windows"},
	})
	from := pick(m, []struct{ url, domain, source, campaign string }{
		{"$direct", "$direct", "", ""}, {"$direct", "$direct", "newsletter", "autumn"},
		{"https://www.google.com/", "www.google.com", "google", "brand"},
		{"https://duckduckgo.com/", "duckduckgo.com", "", ""},
		{"https://news.ycombinator.com/item?id=1", "news.ycombinator.com", "", ""},
	})
	p := map[string]any{
		"mp_lib": "web", "$lib_version": "2.56.0", "$browser": with.browser, "$browser_version": with.version, "$os": with.os,
		"$screen_width": pick(m, []int{1440, 1920, 2560}), "$screen_height": pick(m, []int{900, 1080, 1440}),
		"$initial_referrer": from.url, "$initial_referring_domain": from.domain,
	}
	if from.domain != "$direct" {
		p["$referrer"], p["$referring_domain"], p["$search_engine"] = from.url, from.domain, from.source
	}
	if from.source != "" {
		p["utm_source"], p["utm_campaign"], p["utm_medium"] = from.source, from.campaign, "cpc"
	}
	return p
}
