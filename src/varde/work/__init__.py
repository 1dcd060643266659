"""What happens later and what leaves: jobs, outbox, receipts. No service and no outside system lives here."""
