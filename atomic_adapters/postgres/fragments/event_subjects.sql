  LEFT JOIN payments ON payments.id = page.payment_id
  LEFT JOIN refunds ON refunds.id = page.refund_id
