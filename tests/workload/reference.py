"""A second implementation of the desk's rules, with which the real desk is compared.
It follows DESK.md alone, in another language, and uses no code of the project.

    python3 reference.py FILE PRICES        lines SYM,price; `*` means every other symbol

Prices do not change and pending orders do not expire, so a file has one right
result. It is printed in the form that `--books` writes.
"""

import json
import re
import sys

AMOUNT = re.compile(r"[0-9]+\.[0-9][0-9]")
USER = re.compile(r"[A-Za-z0-9]+")
SYMBOL = re.compile(r"[A-Z]{1,3}")
LARGEST = 10_000_000_000_00


class Refused(Exception):
    pass


def need(condition):
    if not condition:
        raise Refused


def cents(text):
    need(AMOUNT.fullmatch(text))
    value = int(text.replace(".", ""))
    need(0 < value <= LARGEST)
    return value


class User:
    def __init__(self):
        self.balance = 0
        self.shares = {}
        self.buys = []  # (symbol, shares, price), newest last
        self.sells = []
        self.buy_amounts = {}  # symbol -> reserved cents
        self.sell_amounts = {}  # symbol -> cents to sell
        self.reserved = {}  # symbol -> shares reserved for a trigger

    def owns(self, symbol):
        return self.shares.get(symbol, 0)

    def with_reserve(self, symbol):
        return self.owns(symbol) + self.reserved.get(symbol, 0)

    def release(self, symbol):
        self.shares[symbol] = self.with_reserve(symbol)
        self.reserved.pop(symbol, None)


class Desk:
    def __init__(self, prices):
        self.prices = prices
        self.users = {}

    def quote(self, symbol):
        price = self.prices.get(symbol, self.prices.get("*"))
        need(price is not None)
        return price

    def run(self, line):
        text = re.sub(r"^(\$ )?(\[\d+\] *)?(\$ )?", "", line.rstrip(" \t\r\n"))
        name, *arguments = text.split(",")
        if name == "DUMPLOG":
            return
        command = getattr(self, "do_" + name, None)
        if command is None or not name.isupper():
            return
        try:
            need(arguments and USER.fullmatch(arguments[0]))
            symbol_wanted = name in self.WITH_SYMBOL
            amount_wanted = name in self.WITH_AMOUNT
            need(len(arguments) == 1 + symbol_wanted + amount_wanted)
            if symbol_wanted:
                need(SYMBOL.fullmatch(arguments[1]))
            given = [arguments[1]] if symbol_wanted else []
            if amount_wanted:
                given.append(cents(arguments[-1]))
            if name == "ADD":
                self.users.setdefault(arguments[0], User())
            need(arguments[0] in self.users)
            command(self.users[arguments[0]], *given)
        except Refused:
            pass

    WITH_SYMBOL = {
        "QUOTE", "BUY", "SELL", "SET_BUY_AMOUNT", "SET_BUY_TRIGGER", "CANCEL_SET_BUY",
        "SET_SELL_AMOUNT", "SET_SELL_TRIGGER", "CANCEL_SET_SELL",
    }
    WITH_AMOUNT = {
        "ADD", "BUY", "SELL", "SET_BUY_AMOUNT", "SET_BUY_TRIGGER", "SET_SELL_AMOUNT",
        "SET_SELL_TRIGGER",
    }

    def do_ADD(self, user, amount):
        user.balance += amount

    def do_QUOTE(self, user, symbol):
        self.quote(symbol)

    def do_DISPLAY_SUMMARY(self, user):
        pass

    def do_BUY(self, user, symbol, amount):
        price = self.quote(symbol)
        need(user.balance >= amount and price <= amount)
        user.buys.append((symbol, amount // price, price))

    def do_COMMIT_BUY(self, user):
        need(user.buys)
        symbol, shares, price = user.buys.pop()
        need(user.balance >= shares * price)
        user.balance -= shares * price
        user.shares[symbol] = user.owns(symbol) + shares

    def do_CANCEL_BUY(self, user):
        need(user.buys)
        user.buys.pop()

    def do_SELL(self, user, symbol, amount):
        price = self.quote(symbol)
        need(user.owns(symbol) * price >= amount and price <= amount)
        user.sells.append((symbol, amount // price, price))

    def do_COMMIT_SELL(self, user):
        need(user.sells)
        symbol, shares, price = user.sells.pop()
        need(user.owns(symbol) >= shares)
        user.shares[symbol] -= shares
        user.balance += shares * price

    def do_CANCEL_SELL(self, user):
        need(user.sells)
        user.sells.pop()

    def do_SET_BUY_AMOUNT(self, user, symbol, amount):
        free = user.balance + user.buy_amounts.get(symbol, 0)
        need(free >= amount)
        user.balance = free - amount
        user.buy_amounts[symbol] = amount

    def do_SET_BUY_TRIGGER(self, user, symbol, price):
        quote = self.quote(symbol)
        need(symbol in user.buy_amounts and price <= user.buy_amounts[symbol])
        if quote <= price:
            shares, rest = divmod(user.buy_amounts.pop(symbol), quote)
            user.shares[symbol] = user.owns(symbol) + shares
            user.balance += rest

    def do_CANCEL_SET_BUY(self, user, symbol):
        need(symbol in user.buy_amounts)
        user.balance += user.buy_amounts.pop(symbol)

    def do_SET_SELL_AMOUNT(self, user, symbol, amount):
        need(user.with_reserve(symbol) * self.quote(symbol) >= amount)
        user.release(symbol)
        user.sell_amounts[symbol] = amount

    def do_SET_SELL_TRIGGER(self, user, symbol, price):
        quote = self.quote(symbol)
        need(symbol in user.sell_amounts and price <= user.sell_amounts[symbol])
        shares = user.sell_amounts[symbol] // price
        need(user.with_reserve(symbol) >= shares)
        user.release(symbol)
        user.shares[symbol] -= shares
        user.reserved[symbol] = shares
        if quote >= price:
            user.balance += user.reserved.pop(symbol) * quote
            user.sell_amounts.pop(symbol)

    def do_CANCEL_SET_SELL(self, user, symbol):
        need(symbol in user.sell_amounts)
        user.sell_amounts.pop(symbol)
        user.release(symbol)

    def books(self):
        return {
            name: {
                "balance": user.balance,
                "reserved": sum(user.buy_amounts.values()),
                "shares": {symbol: n for symbol, n in user.shares.items() if n > 0},
                "reservedShares": {symbol: n for symbol, n in user.reserved.items() if n > 0},
            }
            for name, user in self.users.items()
        }


def main(workload, prices):
    with open(prices, encoding="ascii") as file:
        pairs = [line.strip().split(",") for line in file if line.strip()]
    desk = Desk({symbol: cents(price) for symbol, price in pairs})
    with open(workload, encoding="latin-1", newline="\n") as file:
        for line in file:
            desk.run(line)
    json.dump(desk.books(), sys.stdout, sort_keys=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
