//go:build ignore

// Writes every command by the client that openapi-generator makes of /openapi.json, the package `tills`.
package main

import (
	"context"
	"fmt"
	"log"
	"os"
	"time"

	"github.com/google/uuid"
	"tillstream.test/clients/tills"
)

var (
	id    = uuid.NewString
	order = uuid.NewString()
)

func tea() *tills.AddItemData {
	return tills.NewAddItemData("p-1", "Tea", "2", "3.50")
}

func lineDiscount(data tills.ApplyLineDiscountData) tills.Command {
	return tills.ApplyLineDiscountAsCommand(tills.NewApplyLineDiscount(id(), order, "ApplyLineDiscount", data))
}

func main() {
	configuration := tills.NewConfiguration()
	configuration.Servers[0].URL = os.Getenv("TILLSTREAM_ADDRESS")
	client := tills.NewAPIClient(configuration)

	create := tills.NewCreateOrder(id(), order, "CreateOrder", *tills.NewCreateOrderData("anna", "EUR"))
	milk := tea()
	milk.SetLineId("milk")
	quantity := *tills.NewChangeItemQuantityData("1", "3")
	byPercent := tills.NewApplyLineDiscountDataByPercent("1", "10", "mia")
	byAmount := tills.NewApplyLineDiscountDataByAmount("1", "0.50", "mia")
	discount := tills.NewApplyDiscountData("5", "mia")
	discount.SetReason("staff")
	confirm := tills.NewConfirmOrder(id(), order, "ConfirmOrder")
	confirm.SetOccurredAt(time.Now().UTC())
	reason := *tills.NewVoidOrderData("returned", "mia")

	for _, command := range []tills.Command{
		tills.CreateOrderAsCommand(create),
		tills.AddItemAsCommand(tills.NewAddItem(id(), order, "AddItem", *tea())),
		tills.AddItemAsCommand(tills.NewAddItem(id(), order, "AddItem", *milk)),
		tills.ChangeItemQuantityAsCommand(tills.NewChangeItemQuantity(id(), order, "ChangeItemQuantity", quantity)),
		lineDiscount(tills.ApplyLineDiscountDataByPercentAsApplyLineDiscountData(byPercent)),
		lineDiscount(tills.ApplyLineDiscountDataByAmountAsApplyLineDiscountData(byAmount)),
		tills.RemoveLineDiscountAsCommand(
			tills.NewRemoveLineDiscount(id(), order, "RemoveLineDiscount", *tills.NewRemoveLineDiscountData("1"))),
		tills.ApplyDiscountAsCommand(tills.NewApplyDiscount(id(), order, "ApplyDiscount", *discount)),
		tills.RemoveDiscountAsCommand(tills.NewRemoveDiscount(id(), order, "RemoveDiscount")),
		tills.RemoveItemAsCommand(tills.NewRemoveItem(id(), order, "RemoveItem", *tills.NewRemoveItemData("milk"))),
		tills.UndoLastChangeAsCommand(tills.NewUndoLastChange(id(), order, "UndoLastChange", 10)),
		tills.RedoLastChangeAsCommand(tills.NewRedoLastChange(id(), order, "RedoLastChange", 11)),
		tills.ConfirmOrderAsCommand(confirm),
		tills.VoidOrderAsCommand(tills.NewVoidOrder(id(), order, "VoidOrder", reason)),
	} {
		outcome, _, err := client.CommandsAPI.SendCommand(context.Background()).Command(command).Execute()
		if err != nil {
			log.Fatal(err)
		}
		if outcome.Status != "accepted" {
			log.Fatal(outcome)
		}
	}
	fmt.Println(order)
}
