package demo

import (
	"fmt"
	"time"
)

type product struct {
	sku, name, category string
	price               float64
}

func (m *maker) product() product {
	return pick(m, []product{
		{"tea-01", "Sencha", "tea", 12.5}, {"tea-02", "Assam", "tea", 9.9}, {"tea-03", "Rooibos", "tea", 7.25},
		{"pot-01", "Glass pot", "pots", 34}, {"pot-02", "Cast-iron pot", "pots", 79.9},
		{"cup-01", "Small cup", "cups", 11}, {"cup-02", "Travel mug", "cups", 24.5},
		{"box-01", "Tasting box", "sets", 45}, {"box-02", "Gift set", "sets", 59},
	})
}

func (p product) properties() map[string]any {
	return map[string]any{"sku": p.sku, "product": p.name, "category": p.category, "price": p.price, "currency": "EUR"}
}

// browse makes one visit: pages, some products, perhaps a search.
func (m *maker) browse(d device, id, user string, at *time.Time) {
	page := func(path, title string) {
		m.event("Page View", id, at, d.properties, d.as(user), map[string]any{
			"$current_url": "https://shop.demo.example" + path, "current_page_title": title,
		})
	}
	page("/", "Tea and what it takes")
	for range 1 + m.rand.IntN(4) {
		p := m.product()
		page("/"+p.category+"/"+p.sku, p.name)
		m.event("Product Viewed", id, at, d.properties, d.as(user), p.properties())
	}
	if m.chance(25) {
		m.event("Search", id, at, d.properties, d.as(user), map[string]any{
			"query": pick(m, []string{"green tea", "gift", "caffeine free", "Geschenk für Papa", "thé noir"}), "results": m.rand.IntN(12),
		})
	}
}

// signUp ties the device's own id to the person's, as libraries do it: by one
// event that carries both, by $identify from older ones, or by $merge.
func (m *maker) signUp(d device, id string, n int, at *time.Time) {
	switch m.rand.IntN(5) {
	case 0:
		m.event("$identify", id, at, d.properties, map[string]any{"$identified_id": id, "$anon_id": d.anonymous()})
	case 1:
		m.event("$merge", id, at, map[string]any{"$distinct_ids": []string{id, d.anonymous()}})
	}
	m.event("Sign Up", id, at, d.properties, d.as(id), map[string]any{
		"method": pick(m, []string{"email", "google", "apple"}), "email": mail(n), "newsletter": m.chance(40),
	})
}

// buy makes an order: the cart in the browser, the order itself from the server.
func (m *maker) buy(d device, id string, at *time.Time) {
	total, skus := 0.0, []string{}
	for range 1 + m.rand.IntN(3) {
		p := m.product()
		total += p.price
		skus = append(skus, p.sku)
		m.event("Item Added", id, at, d.properties, d.as(id), p.properties())
	}
	m.event("Checkout Started", id, at, d.properties, d.as(id), map[string]any{"items": len(skus), "total": total})
	if m.chance(20) {
		m.event("Checkout Left", id, at, d.properties, d.as(id), map[string]any{"step": pick(m, []string{"address", "payment"})})
		return
	}
	m.event("Order Placed", id, at, map[string]any{
		"mp_lib": "python", "$lib_version": "4.10.1", "order": "order-" + m.hex(8), "items": skus, "total": total, "currency": "EUR",
		"payment": pick(m, []string{"card", "invoice", "paypal"}), "gift": m.chance(15),
		"shipping": map[string]any{"city": d.properties["$city"], "country": d.properties["mp_country_code"], "express": m.chance(30)},
	})
}

// alias gives the person a second name, as the shop's old customer system did.
func (m *maker) alias(id string, n int, d device, at *time.Time) {
	m.event("$create_alias", id, at, d.properties, map[string]any{"alias": fmt.Sprintf("customer-%05d", 10_000+n)})
}

// profile holds only what can be applied twice with the same result.
func (m *maker) profile(id string, n int, d device, joined time.Time) {
	m.Profiles = append(m.Profiles, raw(map[string]any{
		"$token": m.token, "$distinct_id": id,
		"$set": map[string]any{
			"$name": fmt.Sprintf("Demo User %d", n), "$email": mail(n), "$city": d.properties["$city"], "$region": d.properties["$region"],
			"$country_code": d.properties["mp_country_code"], "plan": pick(m, []string{"free", "free", "club"}),
		},
	}), raw(map[string]any{
		"$token": m.token, "$distinct_id": id,
		"$set_once": map[string]any{"$created": joined.Format(time.RFC3339), "first_seen_on": d.properties["mp_lib"]},
	}), raw(map[string]any{
		"$token": m.token, "$distinct_id": id,
		"$union": map[string]any{"favourites": []string{m.product().category, m.product().category}},
	}))
}

func mail(n int) string { return fmt.Sprintf("user%d@demo.example", n) }
