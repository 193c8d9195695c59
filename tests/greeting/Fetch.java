// SPDX-License-Identifier: MIT
// Fetch ADDRESS: what is there answers with what it is sent.
import java.net.URI;
import java.net.http.*;

public class Fetch {
	public static void main(String[] addresses) throws Exception {
		var request = HttpRequest.newBuilder(URI.create(addresses[0])).POST(HttpRequest.BodyPublishers.ofString("a body"));
		System.out.println(HttpClient.newHttpClient().send(request.build(), HttpResponse.BodyHandlers.ofString()).body());
	}
}
