import { expect, test } from "bun:test";
import { createServer } from "node:net";
import { listAddresses, addressFault, networkAddresses } from "./addresses.ts";
import { freePort } from "./ports.ts";

test("a single address is the only one listed; when listening at all, each network's address is", () => {
  expect(listAddresses("192.0.2.9", 8787)).toEqual({
    home: "http://192.0.2.9:8787",
    elsewhere: [],
  });
  expect(listAddresses("2001:db8::9", 80).home).toBe("http://[2001:db8::9]:80");
  for (const everywhere of [undefined, "0.0.0.0", "::"]) {
    expect(listAddresses(everywhere, 8787)).toEqual({
      home: "http://127.0.0.1:8787",
      elsewhere: networkAddresses().map((each) => `http://${each}:8787`),
    });
  }
});

test("an address of another machine is refused as a wrong setting, with a list of this machine's addresses", async () => {
  const fault = await addressFault("203.0.113.77", await freePort());
  expect(fault?.exitCode).toBe(2);
  expect(fault?.message).toStartWith("HOST is 203.0.113.77, which is no address of this machine");
  for (const each of networkAddresses()) expect(fault?.message).toInclude(each);
});

test("a port that is taken on loopback is refused, at loopback and everywhere", async () => {
  const port = await freePort();
  for (const host of ["127.0.0.1", "0.0.0.0", undefined]) {
    expect(await addressFault(host, port)).toBeUndefined();
  }
  const other = createServer();
  await new Promise<void>((resolve) => other.listen(port, "127.0.0.1", resolve));
  try {
    for (const host of ["127.0.0.1", "0.0.0.0", undefined]) {
      const fault = await addressFault(host, port);
      expect(fault).toMatchObject({ exitCode: 1 });
      expect(fault?.message).toStartWith(`Port ${port} is taken`);
    }
  } finally {
    await new Promise((resolve) => other.close(resolve));
  }
});
