"""Changes and ends of products, coupons and promotion codes."""

from tests.simulator_in_process import SimulatorInProcess


def events(stripe: SimulatorInProcess) -> list[str]:
    stored = stripe.app.state.simulator.store.events
    return [stored.get(name)["type"] for _, _, name in stored.positions()]


def test_a_product_is_deleted_unless_it_has_prices() -> None:
    stripe = SimulatorInProcess()
    bare, priced = stripe.create("products", {"name": "Bare"}), stripe.create("products", {"name": "Priced"})
    stripe.create("prices", {"product": priced, "currency": "eur", "unit_amount": 1})
    assert stripe.call("DELETE", f"products/{bare}").body == {"id": bare, "object": "product", "deleted": True}
    assert stripe.call("GET", f"products/{bare}").status == 404
    assert "user-created prices" in stripe.call("DELETE", f"products/{priced}").error["message"]
    assert stripe.call("GET", f"products/{priced}").status == 200
    assert events(stripe)[-1] == "product.deleted"


def test_a_deleted_coupon_is_redeemed_no_more_and_its_discounts_go_on() -> None:
    stripe = SimulatorInProcess()
    customer = stripe.create("customers", {"payment_method": "pm_card_visa"})
    product = stripe.create("products", {"name": "Gold"})
    price = stripe.create(
        "prices", {"product": product, "currency": "eur", "unit_amount": 1000, "recurring[interval]": "month"}
    )
    stripe.create("coupons", {"id": "HALF", "percent_off": 50, "duration": "forever"})
    wanted = {"customer": customer, "items[0][price]": price, "discounts[0][coupon]": "HALF"}
    subscription = stripe.create("subscriptions", wanted)
    assert stripe.call("POST", "coupons/HALF", {"name": "Half"}).body["name"] == "Half"
    stripe.call("DELETE", "coupons/HALF")
    assert stripe.call("GET", "coupons/HALF").status == 404
    assert stripe.call("POST", "subscriptions", wanted).error["code"] == "resource_missing"
    assert [kind for kind in events(stripe) if kind.startswith("coupon.")] == [
        *("coupon.created", "coupon.updated", "coupon.deleted")
    ]
    clock = stripe.app.state.simulator.clock
    clock.set(clock.now() + 1)
    # The id is free again, and the new coupon does not change the discount.
    stripe.create("coupons", {"id": "HALF", "percent_off": 10})
    clock.set(clock.now() + 32 * 86_400)
    renewed = stripe.call("GET", f"subscriptions/{subscription}", {"expand[0]": "latest_invoice"}).body
    invoice = renewed["latest_invoice"]
    assert (invoice["billing_reason"], invoice["total"]) == ("subscription_cycle", 500)


def test_a_promotion_code_is_found_and_switched_off() -> None:
    stripe = SimulatorInProcess()
    stripe.create("coupons", {"id": "FIVE", "percent_off": 5})
    code = stripe.create("promotion_codes", {"promotion[type]": "coupon", "promotion[coupon]": "FIVE", "code": "NOW"})
    listed = stripe.call("GET", "promotion_codes", {"code": "NOW", "active": "true"}).body["data"]
    assert [one["id"] for one in listed] == [code]
    assert stripe.call("POST", f"promotion_codes/{code}", {"active": "false"}).body["active"] is False
    assert stripe.call("GET", "promotion_codes", {"coupon": "FIVE", "active": "true"}).body["data"] == []
    assert stripe.call("GET", f"promotion_codes/{code}").body["code"] == "NOW"
    assert events(stripe)[-2:] == ["promotion_code.created", "promotion_code.updated"]
